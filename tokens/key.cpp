#include "tokens/key.h"

#include <array>
#include <utility>

namespace devid {
namespace {

constexpr std::array names = std::to_array<std::pair<KeyAlgorithm, std::string_view>>({
    {KeyAlgorithm::ec_p256, "ec-p256"},
    {KeyAlgorithm::ec_p384, "ec-p384"},
    {KeyAlgorithm::rsa_2048, "rsa-2048"},
    {KeyAlgorithm::rsa_3072, "rsa-3072"},
});

}  // namespace

std::string_view algorithm_name(KeyAlgorithm algorithm) {
  for (const auto& [value, name] : names)
    if (value == algorithm) return name;
  return "unknown";
}

std::optional<KeyAlgorithm> algorithm_from_name(std::string_view name) {
  for (const auto& [value, known] : names)
    if (known == name) return value;
  return std::nullopt;
}

bool is_rsa(KeyAlgorithm algorithm) {
  return algorithm == KeyAlgorithm::rsa_2048 || algorithm == KeyAlgorithm::rsa_3072;
}

std::size_t digest_size(Digest digest) {
  switch (digest) {
    case Digest::sha256: return 32;
    case Digest::sha384: return 48;
    case Digest::sha512: return 64;
  }
  return 0;
}

Digest digest_for(KeyAlgorithm algorithm) {
  return algorithm == KeyAlgorithm::ec_p384 ? Digest::sha384 : Digest::sha256;
}

}  // namespace devid
