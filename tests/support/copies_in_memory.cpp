#include "tests/support/copies_in_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <span>
#include <stdexcept>
#include <vector>

namespace devid::test {
namespace {

constexpr std::size_t trace_size = 16;
/// Sanitizers reserve much more than anybody uses.
constexpr std::size_t largest_map = std::size_t{256} << 20U;

class File {
 public:
  explicit File(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (fd_ < 0) throw std::runtime_error("cannot open " + path);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  File(File&&) = delete;
  File& operator=(File&&) = delete;
  ~File() { ::close(fd_); }

  /// How many octets it got.
  [[nodiscard]] std::size_t read(std::span<std::byte> into, std::size_t offset) const {
    const ssize_t got = ::pread(fd_, into.data(), into.size(), static_cast<off_t>(offset));
    return got < 0 ? 0 : static_cast<std::size_t>(got);
  }

 private:
  int fd_;
};

struct Map {
  std::size_t begin = 0;
  std::size_t end = 0;
};

std::vector<Map> writable_maps() {
  std::vector<Map> maps;
  std::ifstream lines("/proc/self/maps");
  for (std::string line; std::getline(lines, line);) {
    const auto dash = line.find('-');
    const auto blank = line.find(' ');
    const Map map{.begin = std::stoull(line.substr(0, dash), nullptr, 16),
                  .end = std::stoull(line.substr(dash + 1, blank - dash - 1), nullptr, 16)};
    // The dynamic linker spills registers onto the stack when it binds a function for the first time.
    if (line.ends_with("[stack]")) continue;
    if (line.substr(blank + 1, 2) == "rw" && map.end - map.begin <= largest_map) maps.push_back(map);
  }
  return maps;
}

/// Memory of its own for what is read.
class Room {
 public:
  Room()
      : at_(::mmap(nullptr, largest_map, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {
    if (at_ == MAP_FAILED) throw std::runtime_error("no memory to search in");
  }
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;
  Room(Room&&) = delete;
  Room& operator=(Room&&) = delete;
  ~Room() { ::munmap(at_, largest_map); }

  [[nodiscard]] std::span<std::byte> all() const { return {static_cast<std::byte*>(at_), largest_map}; }

 private:
  void* at_;
};

std::size_t count(std::span<const std::byte> in, const std::string& what) {
  const BytesView sought = as_bytes(what);
  std::size_t found = 0;
  for (auto at = std::ranges::search(in, sought); !at.empty();
       at = std::ranges::search(at.begin() + 1, in.end(), sought.begin(), sought.end()))
    ++found;
  return found;
}

}  // namespace

Secret read_without_traces(const std::string& path) {
  std::array<std::byte, 8192> buffer{};
  const std::size_t size = File(path).read(buffer, 0);
  Secret secret(BytesView(buffer).first(size));
  wipe(buffer);
  return secret;
}

std::string trace_of(BytesView secret) {
  std::string trace;
  for (const std::byte octet : secret.subspan((secret.size() - trace_size) / 2, trace_size))
    trace.push_back(static_cast<char>(~octet));
  return trace;
}

std::size_t copies_in_memory(const std::string& trace) {
  const std::string reversed(trace.rbegin(), trace.rend());
  const File memory("/proc/self/mem");
  const auto maps = writable_maps();
  const Room room;  // after the list was made: it is not searched itself
  std::size_t found = 0;
  for (const auto& [begin, end] : maps) {
    const auto content = room.all().first(memory.read(room.all().first(end - begin), begin));
    for (std::byte& octet : content) octet = ~octet;
    found += count(content, trace) + count(content, reversed);
  }
  return found;
}

}  // namespace devid::test
