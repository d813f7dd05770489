#include "agent/identity/provenance.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "agent/identity/authorization_text.h"
#include "tokens/public_key.h"

namespace devid::identity {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t version = 1;
constexpr std::int64_t latest_time = 253402300799;  // 9999-12-31 23:59:59
constexpr std::int64_t most_certificates = 1'000'000'000;

Error corrupt(std::string reason) {
  return {.code = Errc::state_corrupt,
          .retry = Retry::later,
          .what = "cannot use the record of a key",
          .reason = std::move(reason)};
}

std::string to_pem(const PublicKey& key) {
  const auto evp = to_evp_public(key);
  const Bio bio(BIO_new(BIO_s_mem()));
  if (!evp || PEM_write_bio_PUBKEY(bio.get(), evp->get()) != 1) return {};
  return std::string(as_text(bio_bytes(bio.get())));
}

Result<PublicKey> from_pem(const std::string& pem) {
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const Pkey key(PEM_read_bio_PUBKEY(bio.get(), nullptr, no_passphrase, nullptr));
  if (!key) return fail(corrupt("the public key cannot be read: " + openssl_reason()));
  auto public_key = public_key_of(key.get());
  if (!public_key) return fail(corrupt("the public key cannot be used: " + public_key.error().sentence()));
  return public_key;
}

std::optional<std::string> text(const Json& json, std::string_view key) {
  const auto member = json.find(key);
  if (member == json.end() || !member->is_string()) return std::nullopt;
  return member->get<std::string>();
}

std::optional<std::int64_t> number(const Json& json, std::string_view key) {
  const auto member = json.find(key);
  if (member == json.end() || !member->is_number_unsigned()) return std::nullopt;
  const auto value = member->get<std::uint64_t>();
  return value <= static_cast<std::uint64_t>(latest_time) ? std::optional(static_cast<std::int64_t>(value))
                                                          : std::nullopt;
}

std::optional<JobKind> method_from_name(std::string_view name) {
  for (const JobKind kind : {JobKind::enroll, JobKind::renew})
    if (job_kind_name(kind) == name) return kind;
  return std::nullopt;
}

}  // namespace

std::string to_json(const Provenance& provenance) {
  Json json{{"version", version},
            {"token", provenance.token},
            {"key_protection", provenance.key_protection},
            {"key_algorithm", algorithm_name(provenance.public_key.algorithm)},
            {"public_key", to_pem(provenance.public_key)},
            {"server", provenance.server},
            {"method", job_kind_name(provenance.method)},
            {"created", std::clamp<std::int64_t>(provenance.created.time_since_epoch().count(), 0, latest_time)}};
  if (!std::holds_alternative<NoAuthorization>(provenance.authorization))
    json["key_authorization"] = authorization_text(provenance.authorization);
  if (provenance.certificates != 1) json["certificates"] = provenance.certificates;
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<Provenance> parse_provenance(std::string_view json_text) {
  const Json json = Json::parse(json_text, nullptr, false);
  if (json.is_discarded()) return fail(corrupt("it is not JSON, or is cut short"));
  if (!json.is_object()) return fail(corrupt("it is not a JSON object"));
  if (number(json, "version").value_or(0) < version) return fail(corrupt("it has no version"));
  auto token = text(json, "token");
  auto key_protection = text(json, "key_protection");
  const auto key_algorithm = text(json, "key_algorithm");
  const auto public_key_pem = text(json, "public_key");
  auto server = text(json, "server");
  const auto method = method_from_name(text(json, "method").value_or(""));
  const auto created = number(json, "created");
  if (!token || !key_protection || !key_algorithm || !public_key_pem || !server || !method || !created)
    return fail(corrupt("a member is missing or of a wrong type"));
  const auto authorization = json.contains("key_authorization")
                                 ? parse_authorization(text(json, "key_authorization").value_or(""))
                                 : KeyAuthorization(NoAuthorization{});
  if (!authorization) return fail(corrupt("the authorization of the key is not one"));
  const auto certificates =
      json.contains("certificates") ? number(json, "certificates") : std::optional(std::int64_t{1});
  if (!certificates || *certificates < 1 || *certificates > most_certificates)
    return fail(corrupt("the number of certificates is not one"));
  auto public_key = from_pem(*public_key_pem);
  if (!public_key) return fail(std::move(public_key.error()));
  if (algorithm_name(public_key->algorithm) != *key_algorithm)
    return fail(corrupt("the public key is not of the algorithm that it says"));
  return Provenance{.token = std::move(*token),
                    .key_protection = std::move(*key_protection),
                    .public_key = std::move(*public_key),
                    .authorization = *authorization,
                    .server = std::move(*server),
                    .method = *method,
                    .created = Time(Seconds(*created)),
                    .certificates = static_cast<std::uint32_t>(*certificates)};
}

}  // namespace devid::identity
