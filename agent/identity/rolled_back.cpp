#include "agent/identity/rolled_back.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "agent/identity/stored_file.h"
#include "base/file.h"

namespace devid::identity {
namespace {

using Json = nlohmann::ordered_json;

constexpr int version = 1;
constexpr std::size_t size_limit = 64UL * 1024;
constexpr std::int64_t latest_time = 253402300799;  // 9999-12-31 23:59:59
constexpr mode_t file_mode = 0644;

}  // namespace

Result<std::vector<RolledBack>> read_rolled_back(const std::filesystem::path& file) {
  const auto text = read_stored(file, size_limit);
  if (!text && text.error().code == Errc::state_corrupt) return std::vector<RolledBack>();
  if (!text) return fail(text.error());
  std::vector<RolledBack> list;
  const Json json = Json::parse(*text, nullptr, false);
  if (!json.is_object() || json.value("version", Json()) != version) return list;
  const auto entries = json.find("generations");
  if (entries == json.end() || !entries->is_array()) return list;
  for (const Json& entry : *entries) {
    if (!entry.is_object()) continue;
    const Json number = entry.value("generation", Json());
    const Json at = entry.value("at", Json());
    if (!number.is_number_unsigned() || !at.is_number_unsigned()) continue;
    const auto seconds = std::min<std::uint64_t>(at.get<std::uint64_t>(), static_cast<std::uint64_t>(latest_time));
    list.push_back(
        {.generation = number.get<std::uint64_t>(), .at = Time(Seconds(static_cast<std::int64_t>(seconds)))});
  }
  return list;
}

Result<> write_rolled_back(const std::filesystem::path& file, const std::vector<RolledBack>& list) {
  Json entries = Json::array();
  for (const auto& [generation, at] : list)
    entries.push_back(
        {{"generation", generation}, {"at", std::clamp<std::int64_t>(at.time_since_epoch().count(), 0, latest_time)}});
  return write_file_atomically(file, Json{{"version", version}, {"generations", std::move(entries)}}.dump(2) + "\n",
                               file_mode);
}

}  // namespace devid::identity
