#include "agent/identity/delivery.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "base/file.h"

namespace devid::identity {
namespace {

namespace fs = std::filesystem;

constexpr std::array public_files{"certificate.pem", "chain.pem", "certificate-chain.pem", "trust-anchors.pem"};
constexpr const char* key_file = "token-key.pem";
constexpr std::size_t copy_limit = 1U << 20U;
constexpr mode_t for_all = 0644;
constexpr uid_t unchanged_user = static_cast<uid_t>(-1);
constexpr gid_t unchanged_group = static_cast<gid_t>(-1);

Error unknown(std::string_view what, const std::string& name) {
  return {.code = Errc::config_invalid,
          .retry = Retry::after_operator,
          .what = std::string("there is no ").append(what).append(" '").append(printable(name, 80)).append("'"),
          .hint = "make it, or correct [files] of the profile"};
}

Error system_error(std::string_view doing, const fs::path& path, int error) {
  Error result{.code = Errc::storage_failed,
               .retry = Retry::later,
               .what = std::string("cannot ").append(doing).append(" ").append(printable(path.string(), 200)),
               .reason = std::generic_category().message(error)};
  if (error == EROFS || error == EACCES) result.hint = "devidd.service needs ReadWritePaths= for it: devid.toml(5)";
  return result;
}

/// The number of a user, or of a group; `unchanged` for an empty name.
Result<uid_t> user_number(const std::string& name) {
  if (name.empty()) return unchanged_user;
  std::vector<char> buffer(64UL * 1024);
  passwd entry{};
  passwd* found = nullptr;
  ::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  return found == nullptr ? Result<uid_t>(fail(unknown("user", name))) : entry.pw_uid;
}

Result<gid_t> group_number(const std::string& name) {
  if (name.empty()) return unchanged_group;
  std::vector<char> buffer(64UL * 1024);
  group entry{};
  group* found = nullptr;
  ::getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  return found == nullptr ? Result<gid_t>(fail(unknown("group", name))) : entry.gr_gid;
}

struct Attributes {
  uid_t user = unchanged_user;
  gid_t group = unchanged_group;
  std::optional<mode_t> mode;
};

/// The mode last: before, the file is for nobody for whom it is not.
Result<> apply(const fs::path& file, const Attributes& attributes) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return fail(system_error("open", file, errno));
  int error = 0;
  const bool gives = attributes.user != unchanged_user || attributes.group != unchanged_group;
  if (gives && ::fchown(fd, attributes.user, attributes.group) != 0) error = errno;
  const bool given = error == 0;
  if (given && attributes.mode && ::fchmod(fd, *attributes.mode) != 0) error = errno;
  ::close(fd);
  if (error == 0) return {};
  Error problem = system_error(given ? "set the mode of" : "give away", file, error);
  if (error == EPERM)
    problem.hint = "devidd.service needs SupplementaryGroups= for a group, and CAP_CHOWN for an owner: devid.toml(5)";
  return fail(std::move(problem));
}

Result<Attributes> public_attributes(const FileSettings& settings) {
  const auto user = user_number(settings.owner);
  if (!user) return fail(user.error());
  const auto group = group_number(settings.group);
  if (!group) return fail(group.error());
  return Attributes{.user = *user, .group = *group, .mode = settings.mode};
}

/// Why nothing is written into this directory; none if it may be.
std::optional<Error> objection(const fs::path& directory, const fs::path& state) {
  struct stat info{};
  if (::lstat(directory.c_str(), &info) != 0) return system_error("look at", directory, errno);
  std::string_view reason;
  std::error_code error;
  const std::string real = fs::weakly_canonical(directory, error).string() + "/";
  if (!S_ISDIR(info.st_mode)) {
    reason = "it is no directory";
  } else if ((info.st_mode & S_IWOTH) != 0) {
    reason = "everybody may write there, and put something in the way";
  } else if (info.st_uid != 0 && info.st_uid != ::geteuid()) {
    reason = "it belongs to somebody else than root and devid";
  } else if (error || real.starts_with(fs::weakly_canonical(state, error).string() + "/")) {
    reason = "that is where devid keeps its own files";
  } else {
    return std::nullopt;
  }
  return Error{.code = Errc::config_invalid,
               .retry = Retry::after_operator,
               .what = "no copy is put into " + printable(directory.string(), 200),
               .reason = std::string(reason),
               .hint = "name another place in [copies] of the profile"};
}

bool is_regular_file_with(const fs::path& path, std::string_view content) {
  std::error_code error;
  if (!fs::is_regular_file(fs::symlink_status(path, error))) return false;
  const auto there = read_file(path, copy_limit);
  return there && *there == content;
}

Result<> write_copy(const fs::path& from, const fs::path& to, const Attributes& attributes, const fs::path& state) {
  const auto content = read_file(from, copy_limit);
  if (!content) return fail(content.error());
  if (is_regular_file_with(to, *content)) return {};
  const fs::path directory = to.parent_path();
  if (auto problem = objection(directory, state)) return fail(std::move(*problem));
  const fs::path unfinished = directory / ("." + to.filename().string() + ".devid");
  Result<> done = write_file_atomically(unfinished, *content, for_all);
  if (!done && done.error().hint.empty()) done.error().hint = "devidd.service needs ReadWritePaths= for it";
  if (done) done = apply(unfinished, attributes);
  if (done && ::rename(unfinished.c_str(), to.c_str()) != 0) done = fail(system_error("replace", to, errno));
  if (!done) std::ignore = devid::remove_all(unfinished);
  return done;
}

}  // namespace

Result<> set_attributes(const fs::path& generation, const FileSettings& settings) {
  if (settings == FileSettings()) return {};
  const auto attributes = public_attributes(settings);
  if (!attributes) return fail(attributes.error());
  const auto key_group = group_number(settings.key_group);
  if (!key_group) return fail(key_group.error());
  for (const char* file : public_files)
    if (auto applied = apply(generation / file, *attributes); !applied) return applied;
  return apply(generation / key_file, {.group = *key_group, .mode = settings.key_mode});
}

Result<> write_copies(const fs::path& current, const Copies& copies, const FileSettings& settings,
                      const fs::path& state) {
  if (copies == Copies()) return {};
  const auto attributes = public_attributes(settings);
  if (!attributes) return fail(attributes.error());
  const std::pair<const char*, const fs::path&> wanted[] = {{"certificate.pem", copies.certificate},
                                                            {"chain.pem", copies.chain},
                                                            {"certificate-chain.pem", copies.certificate_chain},
                                                            {"trust-anchors.pem", copies.trust_anchors}};
  Result<> first;
  for (const auto& [file, to] : wanted) {
    if (to.empty()) continue;
    auto written = write_copy(current / file, to, *attributes, state);
    if (!written && first) first = fail(while_doing("copy " + std::string(file), std::move(written.error())));
  }
  return first;
}

std::optional<Notice> trouble_with_copies(const fs::path& current, const Copies& copies, const FileSettings& settings,
                                          const fs::path& state) {
  const auto written = write_copies(current, copies, settings, state);
  if (written) return std::nullopt;
  const Error& error = written.error();
  return Notice{.sentence = "the credential is in place, but not every copy of it: " + error.sentence() +
                            "; tried again; " + printable(error.hint),
                .fields = {{.name = "DEVID_ERROR", .value = std::string(code_name(error.code))}}};
}

}  // namespace devid::identity
