#include "base/secret_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <system_error>

namespace devid {
namespace {

constexpr std::string_view credential_prefix = "credential:";

class Descriptor {
 public:
  explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  Descriptor(Descriptor&&) = delete;
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  [[nodiscard]] int get() const { return descriptor_; }

 private:
  int descriptor_;
};

/// The rules of systemd for the name of a credential (systemd.exec(5)): a file name.
bool is_credential_name(std::string_view name) {
  return !name.empty() && name.size() <= 255 && name != "." && name != ".." &&
         std::ranges::all_of(name, [](char c) { return c > 0x20 && c < 0x7f && c != '/' && c != ':'; });
}

Error unusable(const SecretSource& source, std::string_view problem, std::string reason = {}, std::string hint = {}) {
  return {.code = Errc::config_invalid,
          .retry = Retry::after_operator,
          .what = ("cannot use the secret " + source_text(source) + ": ").append(problem),
          .reason = std::move(reason),
          .hint = std::move(hint)};
}

Error missing(const SecretSource& source, std::string reason, std::string hint) {
  return {.code = Errc::config_missing,
          .retry = Retry::after_operator,
          .what = "the secret " + source_text(source) + " is not there",
          .reason = std::move(reason),
          .hint = std::move(hint)};
}

Error cannot_open(const SecretSource& source, int error) {
  const std::string reason = std::generic_category().message(error);
  const bool credential = std::holds_alternative<SystemdCredential>(source);
  if (error == ENOENT || error == ENOTDIR) {
    return missing(source, reason,
                   credential ? "give it to devidd.service with LoadCredential= or LoadCredentialEncrypted="
                              : "put it there, or say in devid.toml where it is; only devid may be able to read it");
  }
  if (error == EACCES) return unusable(source, "it cannot be read", reason, "chown devid and chmod 0400 the file");
  return unusable(source, "it cannot be opened", reason);
}

/// A credential is protected by systemd, a file by its owner and mode.
Result<> check(const SecretSource& source, int descriptor) {
  struct stat about = {};
  if (::fstat(descriptor, &about) != 0 || !S_ISREG(about.st_mode))
    return fail(unusable(source, "it is not a regular file", {}, "write the secret into a file of its own"));
  if (std::holds_alternative<SystemdCredential>(source)) return {};
  if (about.st_uid != 0 && about.st_uid != ::geteuid())
    return fail(unusable(source, "it belongs to another user", {}, "it must belong to root or to devid's user"));
  constexpr mode_t foreign = S_IWGRP | S_IXGRP | S_IRWXO;
  const bool foreign_group = (about.st_mode & S_IRGRP) != 0 && about.st_gid != ::getegid();
  if ((about.st_mode & foreign) != 0 || foreign_group)
    return fail(unusable(source, "others can read or write it", {}, "chmod 0400 the file"));
  return {};
}

Result<Secret> read_all(const SecretSource& source, int descriptor, std::size_t most) {
  Bytes buffer(most + 2);  // a line break, and one byte to notice more
  std::size_t size = 0;
  ssize_t got = 1;
  while (got > 0 && size < buffer.size()) {
    got = ::read(descriptor, buffer.data() + size, buffer.size() - size);
    if (got < 0 && errno == EINTR)
      got = 1;
    else if (got > 0)
      size += static_cast<std::size_t>(got);
  }
  const int error = errno;
  if (size > 0 && size < buffer.size() && buffer[size - 1] == std::byte{'\n'}) --size;
  Secret secret(BytesView(buffer).first(size));
  wipe(buffer);
  if (got < 0) return fail(unusable(source, "it cannot be read", std::generic_category().message(error)));
  if (secret.size() > most)
    return fail(
        unusable(source, "it is longer than " + std::to_string(most) + " bytes", {}, "write the secret alone into it"));
  if (secret.empty()) return fail(unusable(source, "it is empty", {}, "write the secret into it"));
  return secret;
}

}  // namespace

Result<SecretSource> parse_secret_source(std::string_view text) {
  if (text.starts_with('/')) return SecretFile{.path = text};
  if (text.starts_with(credential_prefix)) {
    const std::string_view name = text.substr(credential_prefix.size());
    if (is_credential_name(name)) return SystemdCredential{.name = std::string(name)};
  }
  // What was written may be the secret itself: it is not repeated.
  return fail({.code = Errc::config_invalid,
               .retry = Retry::after_operator,
               .what = "a secret is named by where it is, and never written down itself",
               .hint = "write \"credential:NAME\" for a systemd credential, or the absolute path of a file that only "
                       "devid can read"});
}

std::string source_text(const SecretSource& source) {
  if (const auto* credential = std::get_if<SystemdCredential>(&source))
    return std::string(credential_prefix) + credential->name;
  return std::get<SecretFile>(source).path.string();
}

Result<Secret> read_secret(const SecretSource& source, std::size_t most) {
  std::filesystem::path path;
  if (const auto* credential = std::get_if<SystemdCredential>(&source)) {
    const char* directory = std::getenv("CREDENTIALS_DIRECTORY");
    if (directory == nullptr || *directory != '/') {
      return fail(missing(source, "there is no CREDENTIALS_DIRECTORY",
                          "give it to devidd.service with LoadCredential= or LoadCredentialEncrypted="));
    }
    path = std::filesystem::path(directory) / credential->name;
  } else {
    path = std::get<SecretFile>(source).path;
  }
  // O_NONBLOCK: a FIFO in its place does not hold devid.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  if (file.get() < 0) return fail(cannot_open(source, errno));
  if (auto usable = check(source, file.get()); !usable) return fail(std::move(usable.error()));
  return read_all(source, file.get(), most);
}

Result<> write_new_secret(const SecretFile& file, BytesView secret) {
  const auto failed = [&](int error) {
    return fail(Error{.code = error == EEXIST ? Errc::wrong_state : Errc::storage_failed,
                      .retry = Retry::after_operator,
                      .what = "cannot write the secret " + file.path.string(),
                      .reason = std::generic_category().message(error),
                      .hint = "name a place to which devidd may write: below /var/lib/devid"});
  };
  // Under another name until it is whole: no power failure leaves an empty or a shorter secret.
  std::filesystem::path unfinished = file.path;
  unfinished += ".new";
  ::unlink(unfinished.c_str());  // what a power failure left
  const Descriptor made(::open(unfinished.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (made.get() < 0) return failed(errno);
  errno = 0;
  const bool written = ::write(made.get(), secret.data(), secret.size()) == static_cast<ssize_t>(secret.size()) &&
                       ::fsync(made.get()) == 0 &&
                       ::renameat2(AT_FDCWD, unfinished.c_str(), AT_FDCWD, file.path.c_str(), RENAME_NOREPLACE) == 0;
  if (!written) {
    const int error = errno == 0 ? ENOSPC : errno;
    ::unlink(unfinished.c_str());
    return failed(error);
  }
  const Descriptor directory(::open(file.path.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() >= 0 && ::fsync(directory.get()) == 0) return {};
  const int error = errno;
  ::unlink(file.path.c_str());
  return failed(error);
}

}  // namespace devid
