#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "base/owned.h"

namespace devid {
namespace {

namespace fs = std::filesystem;

/// A file descriptor that is closed with its owner.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  Descriptor(Descriptor&&) = delete;
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  /// Closes now, so that a late write error is seen.
  int close() { return ::close(std::exchange(fd_, -1)); }

 private:
  int fd_;
};

Error system_error(std::string_view doing, const fs::path& path, int error, Errc code = Errc::storage_failed) {
  Error result{.code = code,
               .retry = Retry::later,
               .what = std::string("cannot ").append(doing).append(" ").append(path.string()),
               .reason = std::generic_category().message(error)};
  if (error == ENOSPC || error == EDQUOT) result.hint = "free some space on this file system";
  if (error == EACCES || error == EPERM) result.hint = "check the owner and mode of the file and of its directory";
  return result;
}

Result<> sync_directory(const fs::path& directory) {
  const Descriptor fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail(system_error("open", directory, errno));
  if (::fsync(fd.get()) != 0) return fail(system_error("sync", directory, errno));
  return {};
}

fs::path parent_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

Result<> write_all(int fd, std::string_view content, const fs::path& path) {
  while (!content.empty()) {
    const ssize_t written = ::write(fd, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail(system_error("write", path, errno));
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Result<> write_new_file(const fs::path& path, std::string_view content, mode_t mode) {
  Descriptor fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) return fail(system_error("create", path, errno));
  if (auto written = write_all(fd.get(), content, path); !written) return written;
  if (::fchmod(fd.get(), mode) != 0) return fail(system_error("set the mode of", path, errno));
  if (::fsync(fd.get()) != 0) return fail(system_error("sync", path, errno));
  if (fd.close() != 0) return fail(system_error("close", path, errno));
  return {};
}

}  // namespace

Result<std::string> read_file(const fs::path& path, std::size_t limit, Errc missing) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) return fail(system_error("open", path, errno, missing));
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return fail(system_error("look at", path, errno));
  if (!S_ISREG(info.st_mode)) {
    return fail({.code = missing,
                 .retry = Retry::after_operator,
                 .what = "cannot read " + path.string(),
                 .reason = S_ISDIR(info.st_mode) ? "it is a directory" : "it is not a regular file"});
  }
  std::string content;
  std::string buffer(std::min<std::size_t>(limit + 1, 65536), '\0');
  while (content.size() <= limit) {
    const ssize_t got = ::read(fd.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(system_error("read", path, errno));
    if (got == 0) return content;
    content.append(buffer, 0, static_cast<std::size_t>(got));
  }
  return fail({.code = missing,
               .retry = Retry::after_operator,
               .what = "cannot read " + path.string(),
               .reason = "it is larger than " + std::to_string(limit) + " bytes"});
}

Result<> write_file_atomically(const fs::path& path, std::string_view content, mode_t mode) {
  const fs::path temporary = parent_of(path) / ("." + path.filename().string() + ".new");
  ::unlink(temporary.c_str());  // of a run that was cut short
  auto written = write_new_file(temporary, content, mode);
  if (written && ::rename(temporary.c_str(), path.c_str()) != 0) written = fail(system_error("replace", path, errno));
  if (!written) {
    ::unlink(temporary.c_str());
    return written;
  }
  return sync_directory(parent_of(path));
}

Result<> replace_symlink(const fs::path& link, const fs::path& target) {
  const fs::path temporary = parent_of(link) / ("." + link.filename().string() + ".new");
  ::unlink(temporary.c_str());
  if (::symlink(target.c_str(), temporary.c_str()) != 0) return fail(system_error("create", temporary, errno));
  if (::rename(temporary.c_str(), link.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary.c_str());
    return fail(system_error("replace", link, error));
  }
  return sync_directory(parent_of(link));
}

Result<> make_directories(const fs::path& path, mode_t mode) {
  int made = ::mkdir(path.c_str(), mode);
  if (made != 0 && errno == ENOENT && path.has_parent_path() && path.parent_path() != path) {
    if (auto parents = make_directories(path.parent_path(), mode); !parents) return parents;
    made = ::mkdir(path.c_str(), mode);
  }
  std::error_code ignored;
  if (made != 0 && errno == EEXIST)
    return fs::is_directory(path, ignored) ? Result<>{} : fail(system_error("create", path, ENOTDIR));
  if (made != 0) return fail(system_error("create", path, errno));
  if (::chmod(path.c_str(), mode) != 0) return fail(system_error("set the mode of", path, errno));  // umask or not
  return sync_directory(parent_of(path));
}

Result<> rename_directory(const fs::path& from, const fs::path& to) {
  if (auto synced = sync_directory(from); !synced) return synced;
  if (::rename(from.c_str(), to.c_str()) != 0) return fail(system_error("create", to, errno));
  return sync_directory(parent_of(to));
}

Result<> remove_all(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) return fail(system_error("remove", path, error.value()));
  return {};
}

}  // namespace devid
