#include "agent/identity/stored_file.h"

#include <string_view>
#include <system_error>
#include <utility>

#include "base/file.h"

namespace devid::identity {

namespace fs = std::filesystem;
namespace {

constexpr std::string_view hint = "restart devidd: it goes on with what is whole; then check the disk";

}  // namespace

Error corrupt(const fs::path& path, std::string reason) {
  return {.code = Errc::state_corrupt,
          .retry = Retry::later,
          .what = "cannot use " + path.string(),
          .reason = std::move(reason),
          .hint = std::string(hint)};
}

Result<std::string> read_stored(const fs::path& path, std::size_t limit) {
  auto content = read_file(path, limit, Errc::storage_failed);
  if (content) return content;
  std::error_code error;
  const auto status = fs::status(path, error);
  const bool missing = status.type() == fs::file_type::not_found;
  if (!missing && error) return content;
  if (missing || !fs::is_regular_file(status) || fs::file_size(path, error) > limit) {
    content.error().code = Errc::state_corrupt;
    content.error().hint = hint;
  }
  return content;
}

}  // namespace devid::identity
