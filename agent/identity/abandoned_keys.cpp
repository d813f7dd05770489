#include "agent/identity/abandoned_keys.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>
#include <tuple>
#include <utility>

#include "base/file.h"

namespace devid::identity {
namespace {

using Json = nlohmann::ordered_json;

constexpr int version = 1;
constexpr std::size_t most_keys = 64;
constexpr std::size_t longest_key = 64UL * 1024;
constexpr std::size_t size_limit = 8UL << 20U;
constexpr mode_t file_mode = 0600;

std::vector<AbandonedKey> parse(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object() || json.value("version", Json()) != version) return {};
  const auto list = json.find("keys");
  if (list == json.end() || !list->is_array()) return {};
  std::vector<AbandonedKey> keys;
  for (const Json& entry : *list) {
    if (!entry.is_object() || !entry.value("token", Json()).is_string() || !entry.value("key", Json()).is_string())
      continue;
    AbandonedKey key{.token = entry["token"], .token_key_pem = entry["key"]};
    if (!key.token_key_pem.empty() && key.token_key_pem.size() <= longest_key) keys.push_back(std::move(key));
    if (keys.size() == most_keys) break;
  }
  return keys;
}

std::string to_json(const std::vector<AbandonedKey>& keys) {
  Json list = Json::array();
  for (const auto& [token, pem] : keys) list.push_back({{"token", token}, {"key", pem}});
  return Json{{"version", version}, {"keys", std::move(list)}}.dump(2, ' ', false, Json::error_handler_t::replace) +
         "\n";
}

/// No token will ever destroy what gives these.
bool is_hopeless(Errc code) {
  return code == Errc::token_wrong_key || code == Errc::token_unsupported || code == Errc::usage;
}

enum class Outcome { gone, hopeless, failed };

Outcome destroy_in(Token& token, const AbandonedKey& key) {
  const auto destroyed = token.destroy_key(key.token_key_pem);
  if (destroyed) return Outcome::gone;
  return is_hopeless(destroyed.error().code) ? Outcome::hopeless : Outcome::failed;
}

}  // namespace

AbandonedKeys::AbandonedKeys(std::filesystem::path file) : file_(std::move(file)) {
  if (const auto text = read_file(file_, size_limit)) keys_ = parse(*text);
}

void AbandonedKeys::add(AbandonedKey key) {
  if (key.token_key_pem.empty() || std::ranges::find(keys_, key) != keys_.end()) return;
  if (keys_.size() == most_keys) keys_.erase(keys_.begin());
  keys_.push_back(std::move(key));
  write();
}

void AbandonedKeys::keep(std::string_view token_key_pem) {
  if (std::erase_if(keys_, [&](const AbandonedKey& key) { return key.token_key_pem == token_key_pem; }) > 0) write();
}

void AbandonedKeys::destroy(const Tokens& tokens) {
  if (keys_.empty()) return;
  std::set<std::string> failed;
  const auto is_done = [&](const AbandonedKey& key) {
    bool hopeless = true;
    for (const auto& [name, token] : tokens) {
      if (!key.token.empty() && key.token != name) continue;
      const auto outcome = failed.contains(name) ? Outcome::failed : destroy_in(*token, key);
      if (outcome == Outcome::gone) return true;
      if (outcome == Outcome::failed) failed.insert(name);
      if (outcome == Outcome::failed) hopeless = false;
    }
    // A token that is not configured now may be so again.
    return hopeless && (key.token.empty() || tokens.contains(key.token));
  };
  if (std::erase_if(keys_, is_done) > 0) write();
}

void AbandonedKeys::write() const {
  if (keys_.empty()) {
    std::error_code ignored;
    std::filesystem::remove(file_, ignored);
    return;
  }
  std::ignore = write_file_atomically(file_, to_json(keys_), file_mode);
}

}  // namespace devid::identity
