#include "agent/identity/key_parser.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/identity/authorization_text.h"

namespace devid::identity {
namespace {

constexpr std::size_t longest_identifier = 255;

void complain_algorithm(TableParser& table, std::string_view message) {
  std::vector<std::string_view> names;
  for (const KeyAlgorithm algorithm : all_key_algorithms()) names.push_back(algorithm_name(algorithm));
  table.complain("algorithm", message, fmt::format("known: {}", fmt::join(names, ", ")));
}

/// One name, or an array of them.
std::vector<KeyAlgorithm> parse_algorithms(TableParser& table) {
  std::vector<std::string> names;
  if (table.has_string("algorithm")) {
    if (auto name = table.string("algorithm")) names.push_back(std::move(*name));
  } else {
    for (auto& [name, where] : table.strings("algorithm")) names.push_back(std::move(name));
  }
  std::vector<KeyAlgorithm> algorithms;
  for (const std::string& name : names) {
    const auto known = algorithm_from_name(name);
    if (!known) {
      complain_algorithm(table, fmt::format("key.algorithm cannot be '{}'", name));
    } else if (std::ranges::find(algorithms, *known) != algorithms.end()) {
      complain_algorithm(table, fmt::format("key.algorithm names '{}' twice", name));
    } else {
      algorithms.push_back(*known);
    }
  }
  return algorithms.empty() ? KeySettings().algorithms : algorithms;
}

KeyAuthorization parse_authorization_of_key(TableParser& table, const std::string& token) {
  const std::string kind = table.string("authorization").value_or("none");
  const auto pcr = table.string("pcr");
  if (kind != "none" && kind != "value" && kind != "pcr") {
    table.complain("authorization", fmt::format("key.authorization cannot be '{}'", kind),
                   "write \"none\", \"value\" or \"pcr\"");
  } else if (kind != "none" && token != "tpm") {
    table.complain("authorization", fmt::format("key.authorization cannot be '{}' outside of the TPM", kind),
                   "leave it out: a PKCS#11 token asks for its PIN");
  } else if (kind != "pcr" && table.has("pcr")) {
    table.complain("pcr", "key.pcr is without authorization = \"pcr\"",
                   "write authorization = \"pcr\", or leave it out");
  } else if (kind == "pcr" && !table.has("pcr")) {
    table.complain_missing("pcr", "name the registers that shall not change: pcr = \"sha256:0,2,7\"");
  }
  if (kind == "value") return AuthValue{};
  if (!pcr) return NoAuthorization{};
  auto policy = parse_pcr_policy(*pcr);
  if (!policy) {
    table.complain("pcr", fmt::format("key.pcr cannot be '{}'", *pcr),
                   "write the bank, sha256, sha384 or sha512, and registers from 0 to 23, each once: \"sha256:0,2,7\"");
  }
  if (!policy || kind != "pcr") return NoAuthorization{};
  return std::move(*policy);
}

/// The table [key.decryption].
KeyFromServer parse_decryption(TableParser table) {
  KeyFromServer from_server;
  if (!table.exists()) return from_server;
  const auto identifier = table.string("identifier");
  const auto secret = table.secret_source("secret");
  const auto private_key = table.secret_source("private_key");
  const auto certificate = table.absolute_path("certificate");
  table.refuse_unknown();
  if (!table.has("identifier"))
    table.complain_missing("identifier", "write the name by which the server knows the key to encrypt with");
  if (identifier && identifier->size() > longest_identifier)
    table.complain("identifier", fmt::format("key.decryption.identifier is longer than {} bytes", longest_identifier));
  if (table.has("secret") == table.has("private_key")) {
    table.complain(table.has("secret") ? "secret" : "identifier",
                   "key.decryption needs a secret or a private_key, and not both",
                   "secret = \"credential:NAME\" is an AES key that the server has too; private_key is for a key pair");
  }
  if (table.has("certificate") && !table.has("private_key"))
    table.complain("certificate", "key.decryption.certificate is without a private_key", "leave it out");
  if (!identifier) return from_server;
  if (secret) from_server.decryption = SharedSecret{.identifier = *identifier, .key = *secret};
  if (private_key) {
    from_server.decryption =
        DecryptionKeyPair{.identifier = *identifier, .key = *private_key, .certificate = certificate.value_or("")};
  }
  return from_server;
}

/// Where the key is born.
std::optional<KeyFromServer> parse_birthplace(TableParser& table) {
  const std::string maker = table.string("generated_by").value_or("token");
  if (maker != "token" && maker != "server") {
    table.complain("generated_by", fmt::format("key.generated_by cannot be '{}'", maker),
                   "write \"token\", or \"server\" for a key that leaves the server once (RFC 7030 4.4)");
  }
  KeyFromServer from_server = parse_decryption(table.table("decryption"));
  if (maker == "server") return from_server;
  if (table.has("decryption"))
    table.complain("decryption", "[key.decryption] is without key.generated_by = \"server\"", "leave it out");
  return std::nullopt;
}

}  // namespace

KeySettings parse_key(TableParser table, const std::string& token) {
  KeySettings key;
  key.algorithms = parse_algorithms(table);
  key.authorization = parse_authorization_of_key(table, token);
  key.from_server = parse_birthplace(table);
  table.refuse_unknown();
  return key;
}

}  // namespace devid::identity
