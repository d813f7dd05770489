#include "tokens/pkcs11/refused_pins.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <optional>
#include <sstream>
#include <utility>

#include "base/file.h"
#include "base/openssl.h"

namespace devid::pkcs11 {
namespace {

constexpr std::string_view first_line = "devid refused PINs 1";
constexpr std::size_t largest_file = std::size_t{32} * 1024;
constexpr std::size_t most_hashes = 64;
constexpr std::size_t salt_size = 16;
constexpr std::size_t hash_size = 32;

std::string to_hex(BytesView bytes) {
  std::string hex;
  for (const std::byte byte : bytes) hex += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
  return hex.empty() ? "-" : hex;
}

std::optional<Bytes> from_hex(const std::string& hex, std::size_t largest) {
  if (hex == "-") return Bytes{};
  const auto is_digit = [](char c) { return std::string_view("0123456789abcdef").find(c) != std::string_view::npos; };
  if (hex.size() % 2 != 0 || hex.size() > 2 * largest || !std::ranges::all_of(hex, is_digit)) return std::nullopt;
  Bytes bytes;
  for (std::size_t at = 0; at < hex.size(); at += 2)
    bytes.push_back(static_cast<std::byte>(std::stoul(hex.substr(at, 2), nullptr, 16)));
  return bytes;
}

/// RFC 7914, at about 50 ms: who can read the file, may try every short PIN, but slowly.
Result<Bytes> hash_of(const Secret& pin, BytesView salt) {
  constexpr uint64_t n = 1U << 14U;
  constexpr uint64_t memory = uint64_t{64} * 1024 * 1024;
  Bytes hash(hash_size);
  const std::string_view text = as_text(pin.reveal());
  if (EVP_PBE_scrypt(text.data(), text.size(), as_uchar(salt), salt.size(), n, 8, 1, memory, as_uchar(std::span(hash)),
                     hash.size()) != 1)
    return fail(openssl_error(Errc::internal, Retry::later, "cannot hash a PIN"));
  return hash;
}

Bytes digest_of(std::string_view text) {
  Bytes digest(hash_size);
  EVP_Digest(text.data(), text.size(), as_uchar(std::span(digest)), nullptr, EVP_sha256(), nullptr);
  return digest;
}

}  // namespace

RefusedPins::RefusedPins(const std::filesystem::path& directory, std::string_view name, std::string_view configuration)
    : directory_(directory),
      file_(directory / "refused-pins"),
      name_(digest_of(name)),
      configuration_(digest_of(configuration)) {}

Result<RefusedPins::Hashes> RefusedPins::read() const {
  const auto corrupt = [this] {
    return fail(Error{.code = Errc::state_corrupt,
                      .retry = Retry::after_operator,
                      .what = "cannot tell whether the PIN was refused before: " + file_.string() + " is damaged",
                      .hint = "make sure that the configured PIN is right, then remove the file"});
  };
  Hashes hashes;
  std::error_code unknown;
  if (std::filesystem::symlink_status(file_, unknown).type() == std::filesystem::file_type::not_found) return hashes;
  const auto content = read_file(file_, largest_file);
  if (!content) return fail(while_doing("tell whether the PIN was refused before", content.error()));
  std::istringstream lines(*content);
  std::string line;
  if (!std::getline(lines, line) || line != first_line) return corrupt();
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::string token;
    std::array<Bytes, 4> values;  // name, configuration, salt, value
    words >> token;
    for (Bytes& value : values) {
      std::string field;
      words >> field;
      value = from_hex(field, hash_size).value_or(Bytes());
    }
    const auto of = from_hex(token, largest_file);
    const auto is_whole = [](const Bytes& bytes) { return bytes.size() == hash_size; };
    if (!of || !is_whole(values[0]) || !is_whole(values[1]) || values[2].size() != salt_size || !is_whole(values[3]))
      return corrupt();
    hashes.insert_or_assign(
        {std::string(as_text(*of)), std::move(values[0])},
        Hash{.configuration = std::move(values[1]), .salt = std::move(values[2]), .value = std::move(values[3])});
  }
  return hashes;
}

Result<> RefusedPins::write(const Hashes& hashes) const {
  std::string content = std::string(first_line) + "\n";
  for (const auto& [key, hash] : hashes) {
    const auto& [token, name] = key;
    content += fmt::format("{} {} {} {} {}\n", to_hex(as_bytes(token)), to_hex(name), to_hex(hash.configuration),
                           to_hex(hash.salt), to_hex(hash.value));
  }
  if (auto made = make_directories(directory_, 0700); !made) return made;
  return write_file_atomically(file_, content, 0600);
}

Result<bool> RefusedPins::tell(const Hashes& hashes, const std::string& token, const Secret& pin) const {
  for (const auto& [key, hash] : hashes) {
    const bool outdated = key.second == name_ && hash.configuration != configuration_;
    if (key.first != token || outdated) continue;
    const auto value = hash_of(pin, hash.salt);
    if (!value) return fail(value.error());
    if (CRYPTO_memcmp(value->data(), hash.value.data(), hash_size) == 0) return true;
  }
  return false;
}

Result<bool> RefusedPins::contains(const std::string& token, const Secret& pin) const {
  auto unsaved = tell(unsaved_, token, pin);
  if (!unsaved || *unsaved) return unsaved;
  const auto hashes = read();
  return hashes ? tell(*hashes, token, pin) : fail(hashes.error());
}

bool RefusedPins::knows(const std::string& token) const {
  const auto hashes = read();
  const auto is_of_token = [&](const auto& entry) { return entry.first.first == token; };
  return !hashes || std::ranges::any_of(*hashes, is_of_token) || std::ranges::any_of(unsaved_, is_of_token);
}

Result<> RefusedPins::make_ready() const {
  const auto hashes = read();
  return hashes ? write(*hashes) : fail(hashes.error());
}

Result<> RefusedPins::add(const std::string& token, const Secret& pin) {
  Hash hash{.configuration = configuration_, .salt = Bytes(salt_size), .value = {}};
  if (RAND_bytes(as_uchar(std::span(hash.salt)), static_cast<int>(salt_size)) != 1)
    return fail(openssl_error(Errc::internal, Retry::later, "cannot make a salt"));
  auto value = hash_of(pin, hash.salt);
  if (!value) return fail(std::move(value.error()));
  hash.value = std::move(*value);
  const Hashes::key_type key(token, name_);
  unsaved_.insert_or_assign(key, hash);
  auto hashes = read();
  if (!hashes) return fail(std::move(hashes.error()));
  if (hashes->size() >= most_hashes && !hashes->contains(key)) hashes->erase(hashes->begin());
  hashes->insert_or_assign(key, std::move(hash));
  if (auto written = write(*hashes); !written) return written;
  unsaved_.erase(key);
  return {};
}

Result<> RefusedPins::remove(const std::string& token) {
  const Hashes::key_type key(token, name_);
  unsaved_.erase(key);
  auto hashes = read();
  if (!hashes) return fail(std::move(hashes.error()));
  return hashes->erase(key) == 0 ? Result<>() : write(*hashes);
}

}  // namespace devid::pkcs11
