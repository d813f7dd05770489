#include "agent/identity/idevid_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/file.h"

namespace devid::identity {
namespace {

using Json = nlohmann::ordered_json;

constexpr int version = 1;
constexpr std::size_t size_limit = 64UL * 1024;
constexpr mode_t file_mode = 0644;

std::string certificate_text(const std::optional<CertificateLocation>& location) {
  if (!location) return "auto";
  const auto* file = std::get_if<InFile>(&*location);
  return file != nullptr ? file->path.string() : std::get<InToken>(*location).location;
}

/// A text that is there, not empty, and not longer than any that devid writes.
bool has_text(const Json& json, std::string_view key) {
  const auto member = json.find(key);
  return member != json.end() && member->is_string() && !member->get_ref<const std::string&>().empty() &&
         member->get_ref<const std::string&>().size() <= size_limit / 4;
}

bool is_fingerprint(std::string_view text) {
  return text.size() == 64 &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

std::string wanted_text(const Search& search) {
  const IdevidLocation& wanted = search.wanted;
  std::string files;
  for (const auto& file : search.files) files += " " + file.string();
  return fmt::format("token {} key {} certificate {} {} files{}", wanted.token.empty() ? "auto" : wanted.token,
                     wanted.key.empty() ? "auto" : wanted.key, certificate_text(wanted.certificate),
                     wanted.allow_expired ? "maybe expired" : "not expired", files);
}

std::string to_json(const IdevidMemory& memory) {
  const auto* file = std::get_if<InFile>(&memory.place.certificate);
  const Json json{{"version", version},
                  {"wanted", memory.wanted},
                  {"token", memory.place.token},
                  {"key", memory.place.key},
                  {file != nullptr ? "certificate_file" : "certificate", certificate_text(memory.place.certificate)},
                  {"fingerprint", memory.fingerprint}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::optional<IdevidMemory> parse_idevid_memory(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object() || json.size() != 6 || json.value("version", Json()) != version) return std::nullopt;
  const bool in_file = json.contains("certificate_file");
  const char* const certificate = in_file ? "certificate_file" : "certificate";
  for (const std::string_view key : {"wanted", "token", "key", certificate, "fingerprint"})
    if (!has_text(json, key)) return std::nullopt;
  IdevidMemory memory{.wanted = json["wanted"],
                      .place = {.token = json["token"], .key = json["key"]},
                      .fingerprint = json["fingerprint"]};
  const std::string place = json[certificate];
  if (in_file && place.front() != '/') return std::nullopt;
  if (in_file) memory.place.certificate = InFile{place};
  if (!in_file) memory.place.certificate = InToken{place};
  if (!is_fingerprint(memory.fingerprint)) return std::nullopt;
  return memory;
}

std::optional<IdevidMemory> read_idevid_memory(const std::filesystem::path& file) {
  const auto text = read_file(file, size_limit);
  return text ? parse_idevid_memory(*text) : std::nullopt;
}

Result<> write_idevid_memory(const std::filesystem::path& file, const IdevidMemory& memory) {
  return write_file_atomically(file, to_json(memory), file_mode);
}

}  // namespace devid::identity
