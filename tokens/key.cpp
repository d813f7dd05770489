#include "tokens/key.h"

#include <algorithm>
#include <array>

namespace devid {
namespace {

struct Kind {
  KeyAlgorithm algorithm;
  std::string_view name;
  std::size_t bits;
};
constexpr std::array kinds = std::to_array<Kind>({
    {KeyAlgorithm::ec_p256, "ec-p256", 256},
    {KeyAlgorithm::ec_p384, "ec-p384", 384},
    {KeyAlgorithm::ec_p521, "ec-p521", 521},
    {KeyAlgorithm::rsa_2048, "rsa-2048", 2048},
    {KeyAlgorithm::rsa_3072, "rsa-3072", 3072},
    {KeyAlgorithm::rsa_4096, "rsa-4096", 4096},
});

constexpr auto algorithms = [] {
  std::array<KeyAlgorithm, kinds.size()> all{};
  std::ranges::transform(kinds, all.begin(), &Kind::algorithm);
  return all;
}();

const Kind& kind_of(KeyAlgorithm algorithm) { return kinds.at(static_cast<std::size_t>(algorithm)); }

static_assert(std::ranges::all_of(kinds,
                                  [](const Kind& kind) {
                                    return &kinds[static_cast<std::size_t>(kind.algorithm)] == &kind;
                                  }),
              "the table is in the order of the enumeration");

}  // namespace

std::span<const KeyAlgorithm> all_key_algorithms() { return algorithms; }

std::string_view algorithm_name(KeyAlgorithm algorithm) { return kind_of(algorithm).name; }

std::optional<KeyAlgorithm> algorithm_from_name(std::string_view name) {
  const auto* found = std::ranges::find(kinds, name, &Kind::name);
  if (found == kinds.end()) return std::nullopt;
  return found->algorithm;
}

bool is_rsa(KeyAlgorithm algorithm) { return algorithm >= KeyAlgorithm::rsa_2048; }

std::size_t key_bits(KeyAlgorithm algorithm) { return kind_of(algorithm).bits; }

std::size_t key_bytes(KeyAlgorithm algorithm) { return (key_bits(algorithm) + 7) / 8; }

std::size_t digest_size(Digest digest) {
  switch (digest) {
    case Digest::sha256: return 32;
    case Digest::sha384: return 48;
    case Digest::sha512: return 64;
  }
  return 0;
}

Digest digest_for(KeyAlgorithm algorithm) {
  switch (algorithm) {
    case KeyAlgorithm::ec_p384: return Digest::sha384;
    case KeyAlgorithm::ec_p521: return Digest::sha512;
    default: return Digest::sha256;
  }
}

}  // namespace devid
