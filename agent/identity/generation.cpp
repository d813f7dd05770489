#include "agent/identity/generation.h"

#include <array>
#include <utility>

#include "agent/identity/profile.h"
#include "agent/identity/stored_file.h"
#include "base/file.h"

namespace devid::identity {
namespace {

namespace fs = std::filesystem;

constexpr const char* key_file = "token-key.pem";
constexpr const char* leaf_file = "certificate.pem";
constexpr const char* chain_file = "chain.pem";
constexpr const char* full_chain_file = "certificate-chain.pem";
constexpr const char* anchors_file = "trust-anchors.pem";
constexpr const char* provenance_file = "meta.json";

constexpr std::size_t size_limit = 1U << 20U;  ///< bytes of any of the files
constexpr mode_t for_all = 0644;
constexpr mode_t for_devid = 0600;

Result<std::string> read(const fs::path& path) { return read_stored(path, size_limit); }

/// The certificates of a file. An empty file is no certificate, where that may be.
Result<std::vector<pki::Certificate>> parse(const fs::path& path, const std::string& pem) {
  if (pem.empty()) return std::vector<pki::Certificate>{};
  auto certificates = pki::read_certificates(as_bytes(pem));
  if (!certificates) return fail(corrupt(path, certificates.error().sentence()));
  return certificates;
}

Result<std::vector<pki::Certificate>> read_pem(const fs::path& path) {
  auto pem = read(path);
  if (!pem) return fail(std::move(pem.error()));
  return parse(path, *pem);
}

/// What can be said of a key without its record. Only a token that keeps a TSS2 PEM is known by that.
Provenance provenance_of(const pki::Certificate& leaf, PublicKey key, std::string_view token_key_pem) {
  const bool in_tpm = token_key_pem.find("-----BEGIN TSS2 PRIVATE KEY-----") != std::string_view::npos;
  return {.token = Profile().token,
          .key_protection = in_tpm ? "tpm2" : "unknown",
          .public_key = std::move(key),
          .created = leaf.not_before()};
}

/// What meta.json says. A key and its certificate work without it, so nothing that is wrong with it, or that a newer
/// devid has put into it, makes a generation unusable; only what it says of another key does.
Result<Provenance> read_provenance(const fs::path& directory, const pki::Certificate& leaf,
                                   std::string_view token_key_pem) {
  auto key = leaf.public_key();
  if (!key) return fail(while_doing("use " + (directory / leaf_file).string(), std::move(key.error())));
  const auto text = read(directory / provenance_file);
  auto recorded = text ? parse_provenance(*text) : Result<Provenance>(fail(text.error()));
  if (!recorded) return provenance_of(leaf, std::move(*key), token_key_pem);
  if (*key != recorded->public_key)
    return fail(corrupt(directory / leaf_file, "it is not for the key of this generation"));
  return recorded;
}

}  // namespace

Result<> write_generation(const fs::path& directory, const Generation& generation) {
  struct File {
    const char* name;
    std::string content;
    mode_t mode;
  };
  const std::string leaf = generation.leaf.pem();
  const std::string chain = pki::to_pem(generation.chain);
  const std::array files = std::to_array<File>({
      {.name = key_file, .content = generation.token_key_pem, .mode = for_devid},
      {.name = leaf_file, .content = leaf, .mode = for_all},
      {.name = chain_file, .content = chain, .mode = for_all},
      {.name = full_chain_file, .content = leaf + chain, .mode = for_all},
      {.name = anchors_file, .content = pki::to_pem(generation.anchors), .mode = for_all},
      {.name = provenance_file, .content = to_json(generation.provenance), .mode = for_all},
  });
  for (const File& file : files)
    if (auto written = write_file_atomically(directory / file.name, file.content, file.mode); !written) return written;
  return {};
}

Result<Generation> read_generation(const fs::path& directory) {
  auto key = read(directory / key_file);
  if (!key) return fail(std::move(key.error()));
  if (key->empty()) return fail(corrupt(directory / key_file, "it is empty"));
  auto leaf = read_pem(directory / leaf_file);
  if (!leaf) return fail(std::move(leaf.error()));
  if (leaf->size() != 1) return fail(corrupt(directory / leaf_file, "it does not hold one certificate"));
  auto chain = read_pem(directory / chain_file);
  if (!chain) return fail(std::move(chain.error()));
  auto anchors = read_pem(directory / anchors_file);
  if (!anchors) return fail(std::move(anchors.error()));
  if (anchors->empty()) return fail(corrupt(directory / anchors_file, "it is empty"));
  auto full_chain = read(directory / full_chain_file);
  if (!full_chain) return fail(std::move(full_chain.error()));
  if (*full_chain != pki::to_pem(*leaf) + pki::to_pem(*chain))
    return fail(corrupt(directory / full_chain_file, "it is not the certificate and the chain that are beside it"));
  auto provenance = read_provenance(directory, leaf->front(), *key);
  if (!provenance) return fail(std::move(provenance.error()));
  return Generation{.token_key_pem = std::move(*key),
                    .leaf = std::move(leaf->front()),
                    .chain = std::move(*chain),
                    .anchors = std::move(*anchors),
                    .provenance = std::move(*provenance)};
}

}  // namespace devid::identity
