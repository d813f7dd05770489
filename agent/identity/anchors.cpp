#include "agent/identity/anchors.h"

#include <algorithm>
#include <string>
#include <system_error>
#include <utility>

#include "base/file.h"

namespace devid::identity {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t size_limit = 1UL << 20U;
constexpr std::size_t most_anchors = 64;

Error needs_operator(Error error, Errc code) {
  error.code = code;
  error.retry = Retry::after_operator;
  if (error.hint.empty())
    error.hint =
        "the profile's trust_anchors must name a PEM file with one certificate or more, or a directory of them";
  return error;
}

Result<std::vector<pki::Certificate>> read_one(const fs::path& file) {
  auto text = read_file(file, size_limit, Errc::config_missing);
  if (!text) return fail(while_doing("read the trust anchors", needs_operator(text.error(), Errc::config_missing)));
  auto certificates = pki::read_certificates(as_bytes(*text));
  if (certificates) return certificates;
  return fail(while_doing("use the trust anchors in " + file.string(),
                          needs_operator(std::move(certificates.error()), Errc::config_invalid)));
}

/// The files of a directory that hold certificates by their names, sorted.
Result<std::vector<fs::path>> files_in(const fs::path& directory) {
  std::vector<fs::path> files;
  std::error_code error;
  fs::directory_iterator each(directory, error);
  for (; !error && each != fs::directory_iterator(); each.increment(error)) {
    const auto ending = each->path().extension();
    if (ending == ".pem" || ending == ".crt" || ending == ".cer") files.push_back(each->path());
  }
  std::ranges::sort(files);
  if (!error && !files.empty()) return files;
  Error failed{.what = "cannot read the trust anchors in " + directory.string(),
               .reason = error ? error.message() : "it holds no file NAME.pem, NAME.crt or NAME.cer"};
  return fail(needs_operator(std::move(failed), Errc::config_missing));
}

}  // namespace

Result<std::vector<pki::Certificate>> read_anchors(const fs::path& place) {
  std::error_code ignored;
  if (!fs::is_directory(place, ignored)) return read_one(place);
  const auto files = files_in(place);
  if (!files) return fail(files.error());
  std::vector<pki::Certificate> all;
  for (const fs::path& file : *files) {
    auto certificates = read_one(file);
    if (!certificates) return certificates;
    for (auto& certificate : *certificates)
      if (std::ranges::find(all, certificate) == all.end()) all.push_back(std::move(certificate));
    if (all.size() > most_anchors)
      return fail(needs_operator({.what = "cannot use the trust anchors in " + place.string(),
                                  .reason = "there are more than " + std::to_string(most_anchors)},
                                 Errc::config_invalid));
  }
  return all;
}

}  // namespace devid::identity
