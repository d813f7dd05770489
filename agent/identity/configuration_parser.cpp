#include "agent/identity/configuration_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "agent/identity/profile.h"
#include "agent/identity/table_parser.h"
#include "agent/identity/token_uri.h"

namespace devid::identity {
namespace {

constexpr std::string_view tpm_name = "tpm";

/// A persistent handle of the owner's (TPM 2.0 Part 2, 7.4; Registry of Reserved TPM 2.0 Handles, 2.3).
std::optional<std::uint32_t> parse_persistent_handle(std::string_view text) {
  if (!text.starts_with("0x") || text.size() != 10) return std::nullopt;
  std::uint32_t handle = 0;
  const auto [end, failed] = std::from_chars(text.data() + 2, text.data() + text.size(), handle, 16);
  const bool whole = failed == std::errc() && end == text.data() + text.size();
  return whole && handle >= 0x81000000 && handle <= 0x81ffffff ? std::optional(handle) : std::nullopt;
}

void parse_tpm(TableParser table, TpmConfiguration& tpm) {
  tpm.tcti = table.string("tcti").value_or(tpm.tcti);
  if (const auto srk = table.string("srk")) {
    const auto handle = parse_persistent_handle(*srk);
    if (!handle && *srk != "transient") {
      table.complain("srk", fmt::format("tpm.srk cannot be '{}'", *srk),
                     "write a persistent handle, \"0x81000001\" (0x81000000 to 0x81ffffff), or \"transient\"");
    }
    tpm.storage_root = handle;
  }
  tpm.owner_auth = table.secret_source("owner_auth");
  tpm.endorsement_auth = table.secret_source("endorsement_auth");
  tpm.storage_root_auth = table.secret_source("srk_auth");
  tpm.key_auth = table.secret_source("key_auth");
  table.refuse_unknown();
}

Pkcs11Configuration parse_pkcs11(std::string name, TableParser table) {
  Pkcs11Configuration token{.name = std::move(name)};
  if (const auto uri = table.string("uri")) {
    if (const auto checked = check_token_uri(*uri); !checked)
      table.complain("uri", checked.error().what, checked.error().hint);
    token.uri = *uri;
  } else if (!table.has("uri")) {
    table.complain_missing("uri", "say which token it is: uri = \"pkcs11:token=LABEL\"");
  }
  token.module = table.absolute_path("module").value_or("");
  token.pin = table.secret_source("pin");
  token.store_certificates = table.boolean("store_certificates").value_or(false);
  table.refuse_unknown();
  return token;
}

std::vector<Pkcs11Configuration> parse_pkcs11_tokens(TableParser tables) {
  std::vector<Pkcs11Configuration> tokens;
  for (auto& [name, table] : tables.tables()) {
    if (!is_identity_name(name) || name == tpm_name) {
      tables.complain(name, fmt::format("'{}' cannot be the name of a PKCS#11 token", printable(name, 80)),
                      "a name is 1 to 63 of a-z, 0-9, '-' and '_', begins with a letter or digit, and is not \"tpm\"");
    }
    tokens.push_back(parse_pkcs11(name, std::move(table)));
  }
  std::ranges::sort(tokens, {}, &Pkcs11Configuration::name);
  return tokens;
}

std::vector<std::filesystem::path> parse_idevid_certificates(TableParser table, Complaints& complaints) {
  std::vector<std::filesystem::path> files;
  for (const auto& [text, where] : table.strings("certificates")) {
    if (text.front() != '/') {
      complaints.add(where, fmt::format("idevid.certificates must hold absolute paths, not '{}'", text),
                     "write the whole path, from the first '/' on");
    }
    files.emplace_back(text);
  }
  table.refuse_unknown();
  return files;
}

}  // namespace

Result<Configuration> parse_configuration(std::string_view text, const std::filesystem::path& file) {
  const auto root = parse_toml(text, file);
  if (!root) return fail(root.error());
  Complaints complaints(file);
  TableParser top(*root, "", complaints);
  Configuration configuration;
  parse_tpm(top.table("tpm"), configuration.tpm);
  configuration.pkcs11 = parse_pkcs11_tokens(top.table("pkcs11"));
  configuration.idevid_certificates = parse_idevid_certificates(top.table("idevid"), complaints);
  top.refuse_unknown();
  if (auto complaint = complaints.first()) return fail(std::move(*complaint));
  return configuration;
}

std::vector<std::string> token_names(const Configuration& configuration) {
  std::vector<std::string> names{std::string(tpm_name)};
  for (const auto& token : configuration.pkcs11) names.push_back(token.name);
  return names;
}

}  // namespace devid::identity
