#include "agent/identity/configuration_files.h"

#include <fmt/format.h>

#include <map>
#include <system_error>

#include "agent/identity/configuration_parser.h"
#include "base/file.h"

namespace devid::identity {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t size_limit = 1UL << 20U;

Result<std::string> read_text(const fs::path& file) {
  auto text = read_file(file, size_limit, Errc::config_missing);
  if (text) return text;
  Error error = std::move(text.error());
  error.code = Errc::config_missing;
  error.retry = Retry::after_operator;
  return fail(std::move(error));
}

/// The profiles of one directory join those that are there already, unless one has the same file name.
Result<> add_files(const fs::path& directory, std::map<std::string, fs::path>& files) {
  std::error_code error;
  fs::directory_iterator entries(directory, error);
  if (error == std::errc::no_such_file_or_directory) return {};
  for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
    const fs::path& file = entries->path();
    if (file.extension() == ".toml" && !file.stem().empty()) files.emplace(file.filename().string(), file);
  }
  if (!error) return {};
  return fail({.code = Errc::config_missing,
               .retry = Retry::after_operator,
               .what = "cannot read " + directory.string(),
               .reason = error.message(),
               .hint = "check that it is a directory that devidd may read"});
}

bool is_hidden(const fs::path& file) {
  std::error_code ignored;
  return fs::is_symlink(file, ignored) && fs::read_symlink(file, ignored) == "/dev/null";
}

ProfileFile read_profile(const fs::path& file, const std::vector<std::string>& tokens, const DeviceFacts& facts) {
  auto text = read_text(file);
  return text ? parse_profile(*text, file, tokens, facts) : unusable_file(file, text.error());
}

void refuse_second(ProfileFile& second, const fs::path& first) {
  const Error error{
      .code = Errc::config_invalid,
      .retry = Retry::after_operator,
      .what = fmt::format("{}: the identity '{}' is also that of {}", second.place, second.name, first.string()),
      .hint = "give one of them another name"};
  second.profile = fail(error);
  second.complaints.push_back(error);
  second.name.clear();
}

}  // namespace

Result<Configuration> read_configuration(const Paths& paths) {
  const fs::path file = paths.configuration / "devid.toml";
  std::error_code ignored;
  if (fs::symlink_status(file, ignored).type() == fs::file_type::not_found) return Configuration{};
  const auto text = read_text(file);
  if (!text) return fail(text.error());
  return parse_configuration(*text, file);
}

Result<std::vector<ProfileFile>> read_profiles(const Paths& paths, const std::vector<std::string>& tokens) {
  std::map<std::string, fs::path> files;
  for (const fs::path& directory : {paths.configuration / "identities.d", paths.vendor_configuration / "identities.d"})
    if (auto added = add_files(directory, files); !added) return fail(std::move(added.error()));
  const DeviceFacts facts = read_device_facts();
  std::vector<ProfileFile> profiles;
  std::map<std::string, fs::path> taken;
  for (const auto& [name, file] : files) {
    if (is_hidden(file)) continue;
    ProfileFile profile = read_profile(file, tokens, facts);
    if (!profile.name.empty())
      if (const auto [first, is_first] = taken.emplace(profile.name, file); !is_first)
        refuse_second(profile, first->second);
    profiles.push_back(std::move(profile));
  }
  return profiles;
}

}  // namespace devid::identity
