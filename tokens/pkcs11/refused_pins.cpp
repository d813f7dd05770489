#include "tokens/pkcs11/refused_pins.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cctype>
#include <iterator>
#include <optional>
#include <sstream>
#include <utility>

#include "base/file.h"
#include "base/openssl.h"

namespace devid::pkcs11 {
namespace {

constexpr std::string_view first_line = "devid refused PINs 1";
constexpr std::size_t largest_file = std::size_t{16} * 1024;
constexpr std::size_t most_hashes = 64;
constexpr std::size_t salt_size = 16;
constexpr std::size_t hash_size = 32;
constexpr std::size_t longest_name = 128;

std::string to_hex(BytesView bytes) {
  std::string hex;
  for (const std::byte byte : bytes) hex += fmt::format("{:02x}", std::to_integer<unsigned>(byte));
  return hex.empty() ? "-" : hex;
}

/// A name that cannot leave its directory: what is not a letter, digit, '-', '_' or '.' is written as %XX. Names that
/// are URIs may be longer than a file's: of those the end is a hash of all.
std::string file_name(std::string_view name) {
  std::string safe;
  for (const char c : name) {
    const auto octet = static_cast<unsigned char>(c);
    const bool plain = std::isalnum(octet) != 0 || c == '-' || c == '_' || (c == '.' && !safe.empty());
    safe += plain ? std::string(1, c) : fmt::format("%{:02X}", octet);
  }
  if (safe.size() > longest_name) {
    Bytes hash(hash_size);
    EVP_Digest(name.data(), name.size(), as_uchar(std::span(hash)), nullptr, EVP_sha256(), nullptr);
    safe = safe.substr(0, longest_name) + to_hex(hash);
  }
  return safe + ".refused-pin";
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

}  // namespace

RefusedPins::RefusedPins(const std::filesystem::path& directory, std::string_view name, std::string_view configuration)
    : directory_(directory), file_(directory / file_name(name)), configuration_(configuration) {}

/// RFC 7914, at about 50 ms: who can read the file, may try every short PIN, but slowly.
Result<Bytes> RefusedPins::hash_of(const Secret& pin, BytesView salt) const {
  constexpr uint64_t n = 1U << 14U;
  constexpr uint64_t memory = uint64_t{64} * 1024 * 1024;
  Bytes hash(hash_size);
  Bytes salt_of_both = to_bytes(salt);
  std::ranges::copy(as_bytes(configuration_), std::back_inserter(salt_of_both));
  const std::string_view text = as_text(pin.reveal());
  if (EVP_PBE_scrypt(text.data(), text.size(), as_uchar(BytesView(salt_of_both)), salt_of_both.size(), n, 8, 1, memory,
                     as_uchar(std::span(hash)), hash.size()) != 1)
    return fail(openssl_error(Errc::internal, Retry::later, "cannot hash a PIN"));
  return hash;
}

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
    std::string serial;
    std::string salt;
    std::string value;
    words >> serial >> salt >> value;
    const auto of = from_hex(serial, largest_file);
    auto salt_bytes = from_hex(salt, salt_size);
    auto value_bytes = from_hex(value, hash_size);
    if (!of || !salt_bytes || !value_bytes || salt_bytes->size() != salt_size || value_bytes->size() != hash_size)
      return corrupt();
    hashes.insert_or_assign(std::string(as_text(*of)),
                            Hash{.salt = std::move(*salt_bytes), .value = std::move(*value_bytes)});
  }
  return hashes;
}

Result<> RefusedPins::write(const Hashes& hashes) const {
  if (hashes.empty()) return devid::remove_all(file_);
  std::string content = std::string(first_line) + "\n";
  for (const auto& [serial, hash] : hashes)
    content += fmt::format("{} {} {}\n", to_hex(as_bytes(serial)), to_hex(hash.salt), to_hex(hash.value));
  if (auto made = make_directories(directory_, 0700); !made) return made;
  return write_file_atomically(file_, content, 0600);
}

Result<bool> RefusedPins::is_of(const Hash& hash, const Secret& pin) const {
  const auto value = hash_of(pin, hash.salt);
  if (!value) return fail(value.error());
  return CRYPTO_memcmp(value->data(), hash.value.data(), hash_size) == 0;
}

Result<bool> RefusedPins::contains(const std::string& serial, const Secret& pin) const {
  if (const auto found = unsaved_.find(serial); found != unsaved_.end()) return is_of(found->second, pin);
  const auto hashes = read();
  if (!hashes) return fail(hashes.error());
  const auto found = hashes->find(serial);
  return found == hashes->end() ? Result<bool>(false) : is_of(found->second, pin);
}

bool RefusedPins::knows(const std::string& serial) const {
  if (unsaved_.contains(serial)) return true;
  const auto hashes = read();
  return !hashes || hashes->contains(serial);
}

Result<> RefusedPins::add(const std::string& serial, const Secret& pin) {
  Hash hash{.salt = Bytes(salt_size), .value = {}};
  if (RAND_bytes(as_uchar(std::span(hash.salt)), static_cast<int>(salt_size)) != 1)
    return fail(openssl_error(Errc::internal, Retry::later, "cannot make a salt"));
  auto value = hash_of(pin, hash.salt);
  if (!value) return fail(std::move(value.error()));
  hash.value = std::move(*value);
  unsaved_.insert_or_assign(serial, hash);
  auto hashes = read();
  if (!hashes) return fail(std::move(hashes.error()));
  if (hashes->size() >= most_hashes && !hashes->contains(serial)) hashes->erase(hashes->begin());
  hashes->insert_or_assign(serial, std::move(hash));
  if (auto written = write(*hashes); !written) return written;
  unsaved_.erase(serial);
  return {};
}

Result<> RefusedPins::remove(const std::string& serial) {
  unsaved_.erase(serial);
  auto hashes = read();
  if (!hashes) return fail(std::move(hashes.error()));
  return hashes->erase(serial) == 0 ? Result<>() : write(*hashes);
}

}  // namespace devid::pkcs11
