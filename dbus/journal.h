#pragma once

#include <string>
#include <string_view>
#include <vector>

/// The daemon's log: the journal where stderr is connected to it, else plain lines on stderr.
namespace devid::journal {

/// As in syslog(3).
enum class Priority { error = 3, warning = 4, notice = 5, info = 6 };

/// MESSAGE_IDs, one for each kind of event. They never change.
inline constexpr std::string_view started = "ceaa54deb2074f1fa93fde925aca5e36";
inline constexpr std::string_view stopped = "ed298d8625d746ce8e7025ab3daea453";
inline constexpr std::string_view obtained = "7bf6db2772c74be3926bbf838d669a67";
inline constexpr std::string_view failed = "6cd9b3f9ec9e4c378d11fe9587a86b08";
inline constexpr std::string_view pending = "45dc6efa8bfd4072954ef4b231c7d25e";
inline constexpr std::string_view refused = "93cf0c38d7f741a6b4cbb04d917b6d42";
inline constexpr std::string_view noticed = "10d017610ab3425ea9c8f78566f4f518";
inline constexpr std::string_view configuration = "c2b76183a3c742ddb06aaf9d8d15a6dd";
inline constexpr std::string_view expiry = "ab928f421dc64c319691e1b4f737f3e8";
inline constexpr std::string_view network = "83b800a3de404d1e959d1de9f31e8a28";
inline constexpr std::string_view clock = "c0b09f4e7da248f2bb7969834b449a20";
inline constexpr std::string_view consumers = "5280d32c949b47b8a03cf09c448785d4";
inline constexpr std::string_view trust = "9f8f10a2c0ad44519da71ddff905f16b";
inline constexpr std::string_view retired = "ec8d0be37d0840609d7d21f8245270fe";
inline constexpr std::string_view rolled_back = "7208183b2bfa4f14a868e0f7026a4ac8";
inline constexpr std::string_view forgotten = "76ecb7c69a0e459fbfc85fd8e985abd7";

/// One entry. Text of foreign origin is escaped by printable() before it goes in.
class Entry {
 public:
  Entry(Priority priority, std::string_view message_id, std::string_view message);
  /// A field of the entry; `name` in capitals, "DEVID_IDENTITY". Empty values are left out.
  Entry& field(std::string_view name, std::string_view value);
  void write() const;

 private:
  Priority priority_;
  std::string message_;
  std::vector<std::string> fields_;
};

}  // namespace devid::journal
