#include "tokens/tpm/idevid_template.h"

#include <algorithm>
#include <array>
#include <span>

#include "tokens/tpm/hash.h"
#include "tokens/tpm/idevid_policy.h"

namespace devid::tpm {
namespace {

constexpr std::string_view prefix = "template:";
constexpr TPMT_SYM_DEF_OBJECT no_symmetric{.algorithm = TPM2_ALG_NULL};
constexpr TPMA_OBJECT attributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
                                   TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_ADMINWITHPOLICY | TPMA_OBJECT_SIGN_ENCRYPT;

/// How one implementation fills the field `unique`. RSA has the first part only.
struct Unique {
  std::string_view name;
  std::string_view first;
  std::string_view second;
};
constexpr std::array rsa_uniques{Unique{.name = "plain", .first = "IDEVID", .second = ""}};
constexpr std::array ecc_uniques{Unique{.name = "both", .first = "IDEVID", .second = "IDEVID"},
                                 Unique{.name = "x", .first = "IDEVID", .second = ""},
                                 Unique{.name = "split", .first = "IDE", .second = "VID"}};

struct Template {
  std::string_view name;
  KeyAlgorithm algorithm;
  TPMI_ECC_CURVE curve;
  std::span<const Unique> uniques;
};
constexpr std::array templates{
    Template{.name = "H-1", .algorithm = KeyAlgorithm::rsa_2048, .curve = TPM2_ECC_NONE, .uniques = rsa_uniques},
    Template{.name = "H-2", .algorithm = KeyAlgorithm::ec_p256, .curve = TPM2_ECC_NIST_P256, .uniques = ecc_uniques},
    Template{.name = "H-3", .algorithm = KeyAlgorithm::ec_p384, .curve = TPM2_ECC_NIST_P384, .uniques = ecc_uniques},
    Template{.name = "H-4", .algorithm = KeyAlgorithm::ec_p521, .curve = TPM2_ECC_NIST_P521, .uniques = ecc_uniques}};

std::string location_of(const Template& form, const Unique& unique) {
  return std::string(prefix) + std::string(form.name) + "/" + std::string(unique.name);
}

template <class Sized>
void put(Sized& sized, BytesView octets) {
  sized.size = static_cast<UINT16>(octets.size());
  std::ranges::copy(octets, std::as_writable_bytes(std::span(sized.buffer)).begin());
}

TPM2B_PUBLIC fill(const Template& form, const Unique& unique) {
  TPM2B_PUBLIC result{};
  TPMT_PUBLIC& area = result.publicArea;
  const Digest hash = digest_for(form.algorithm);
  area.nameAlg = hash_algorithm(hash);
  area.objectAttributes = attributes;
  put(area.authPolicy, idevid_policy(hash));
  if (is_rsa(form.algorithm)) {
    area.type = TPM2_ALG_RSA;
    area.parameters.rsaDetail = {.symmetric = no_symmetric,
                                 .scheme = {.scheme = TPM2_ALG_NULL},
                                 .keyBits = static_cast<TPMI_RSA_KEY_BITS>(key_bits(form.algorithm)),
                                 .exponent = 0};
    put(area.unique.rsa, as_bytes(unique.first));
  } else {
    area.type = TPM2_ALG_ECC;
    area.parameters.eccDetail = {.symmetric = no_symmetric,
                                 .scheme = {.scheme = TPM2_ALG_ECDSA},
                                 .curveID = form.curve,
                                 .kdf = {.scheme = TPM2_ALG_NULL}};
    area.parameters.eccDetail.scheme.details.ecdsa.hashAlg = hash_algorithm(hash);
    put(area.unique.ecc.x, as_bytes(unique.first));
    put(area.unique.ecc.y, as_bytes(unique.second));
  }
  return result;
}

}  // namespace

std::vector<std::string> idevid_template_locations(KeyAlgorithm algorithm) {
  std::vector<std::string> locations;
  for (const Template& form : templates) {
    if (form.algorithm != algorithm) continue;
    for (const Unique& unique : form.uniques) locations.push_back(location_of(form, unique));
  }
  return locations;
}

bool is_template_location(std::string_view location) { return location.starts_with(prefix); }

Result<TPM2B_PUBLIC> parse_idevid_template(std::string_view location) {
  for (const Template& form : templates) {
    for (const Unique& unique : form.uniques) {
      if (location == location_of(form, unique)) return fill(form, unique);
    }
  }
  return fail({.code = Errc::usage,
               .retry = Retry::after_operator,
               .what = "'" + printable(location) + "' is not a template of IDevID keys",
               .hint = "write template:H-1/plain, or H-2, H-3 or H-4 followed by /both, /x or /split"});
}

}  // namespace devid::tpm
