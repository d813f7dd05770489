#include "dbus/journal.h"

#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include <cstdlib>
#include <iostream>

#include "base/error.h"

namespace devid::journal {
namespace {

/// systemd.exec(5): $JOURNAL_STREAM names device and inode of the journal's socket.
bool stderr_is_journal() {
  static const bool answer = [] {
    const char* stream = std::getenv("JOURNAL_STREAM");
    struct stat info{};
    if (stream == nullptr || ::fstat(STDERR_FILENO, &info) != 0) return false;
    return std::to_string(info.st_dev) + ":" + std::to_string(info.st_ino) == stream;
  }();
  return answer;
}

}  // namespace

Entry::Entry(Priority priority, std::string_view message_id, std::string_view message)
    : priority_(priority), message_(printable(message, 2000)) {
  fields_.push_back("MESSAGE=" + message_);
  fields_.push_back("PRIORITY=" + std::to_string(static_cast<int>(priority)));
  field("MESSAGE_ID", message_id);
  field("SYSLOG_IDENTIFIER", "devidd");
}

Entry& Entry::field(std::string_view name, std::string_view value) {
  if (!value.empty()) fields_.push_back(std::string(name).append("=").append(printable(value, 2000)));
  return *this;
}

void Entry::write() const {
  if (!stderr_is_journal()) {
    std::cerr << "devidd: " + message_ + "\n";
    return;
  }
  std::vector<iovec> parts;
  parts.reserve(fields_.size());
  for (const auto& text : fields_) {
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): sd_journal_sendv only reads
    parts.push_back({.iov_base = const_cast<char*>(text.data()), .iov_len = text.size()});
  }
  sd_journal_sendv(parts.data(), static_cast<int>(parts.size()));
}

}  // namespace devid::journal
