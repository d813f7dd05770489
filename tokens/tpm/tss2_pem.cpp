#include "tokens/tpm/tss2_pem.h"

#include <openssl/asn1.h>
#include <openssl/asn1t.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/pem.h>

#include <memory>

#include "base/openssl.h"
#include "tokens/key_file.h"

namespace devid::tpm {
namespace {

// TPMKey ::= SEQUENCE {
//   type       OBJECT IDENTIFIER,                -- 2.23.133.10.1.3: a key to be loaded
//   emptyAuth  [0] EXPLICIT BOOLEAN OPTIONAL,
//   policy     [1] EXPLICIT SEQUENCE OF TPMPolicy OPTIONAL,
//   parent     INTEGER,
//   pubkey     OCTET STRING,
//   privkey    OCTET STRING }
// TPMPolicy ::= SEQUENCE {
//   commandCode    [0] EXPLICIT INTEGER,
//   commandPolicy  [1] EXPLICIT OCTET STRING }   -- the body of the command, without the session's handle
// The further optional fields (secret, authPolicy …) belong to keys that devid does not use.
struct TssPolicy {
  ASN1_INTEGER* command;
  ASN1_OCTET_STRING* body;
};
struct TssPrivateKey {
  ASN1_OBJECT* type;
  ASN1_BOOLEAN empty_auth;
  STACK_OF(TssPolicy) * policy;
  ASN1_INTEGER* parent;
  ASN1_OCTET_STRING* public_area;
  ASN1_OCTET_STRING* private_area;
};

// NOLINTBEGIN
DEFINE_STACK_OF(TssPolicy)
ASN1_SEQUENCE(TssPolicy) = {ASN1_EXP(TssPolicy, command, ASN1_INTEGER, 0),
                            ASN1_EXP(TssPolicy, body, ASN1_OCTET_STRING, 1)} static_ASN1_SEQUENCE_END(TssPolicy)
    ASN1_SEQUENCE(TssPrivateKey) = {ASN1_SIMPLE(TssPrivateKey, type, ASN1_OBJECT),
                                    ASN1_EXP_OPT(TssPrivateKey, empty_auth, ASN1_BOOLEAN, 0),
                                    ASN1_EXP_SEQUENCE_OF_OPT(TssPrivateKey, policy, TssPolicy, 1),
                                    ASN1_SIMPLE(TssPrivateKey, parent, ASN1_INTEGER),
                                    ASN1_SIMPLE(TssPrivateKey, public_area, ASN1_OCTET_STRING),
                                    ASN1_SIMPLE(TssPrivateKey, private_area,
                                                ASN1_OCTET_STRING)} static_ASN1_SEQUENCE_END(TssPrivateKey)
    // NOLINTEND

    constexpr const char* pem_name = "TSS2 PRIVATE KEY";
constexpr const char* loadable_key_oid = "2.23.133.10.1.3";
constexpr std::size_t size_field = 2;

struct FreeItem {
  void operator()(TssPrivateKey* key) const noexcept {
    ASN1_item_free(reinterpret_cast<ASN1_VALUE*>(key), ASN1_ITEM_rptr(TssPrivateKey));
  }
};
using Item = std::unique_ptr<TssPrivateKey, FreeItem>;
using Object = Owned<ASN1_OBJECT, ASN1_OBJECT_free>;
struct FreeMemory {
  void operator()(void* memory) const noexcept { OPENSSL_free(memory); }
};
template <class T>
using Memory = std::unique_ptr<T, FreeMemory>;

Error not_a_key(std::string reason) {
  return {.code = Errc::token_wrong_key,
          .retry = Retry::after_operator,
          .what = "this is not a key file of this TPM",
          .reason = std::move(reason),
          .hint = "if the file was damaged or comes from another device, remove the generation and enroll again"};
}

Error out_of_memory() { return openssl_error(Errc::internal, Retry::later, "cannot encode a key file"); }

Bytes content(const ASN1_OCTET_STRING* octets) {
  return to_bytes(ASN1_STRING_get0_data(octets), static_cast<std::size_t>(ASN1_STRING_length(octets)));
}

Bytes der_of(const TssPrivateKey& key) {
  unsigned char* der = nullptr;
  const int size = ASN1_item_i2d(reinterpret_cast<const ASN1_VALUE*>(&key), &der, ASN1_ITEM_rptr(TssPrivateKey));
  const Memory<unsigned char> owned(der);
  return size <= 0 ? Bytes{} : to_bytes(der, static_cast<std::size_t>(size));
}

/// The first two octets of a TPM2B are the length of the rest.
bool has_its_size(BytesView sized) {
  if (sized.size() <= size_field) return false;
  const std::size_t size = (std::to_integer<std::size_t>(sized[0]) << 8U) | std::to_integer<std::size_t>(sized[1]);
  return size == sized.size() - size_field;
}

/// Where the key belongs: a persistent object of the owner, or the owner hierarchy itself.
std::optional<std::uint32_t> parent_of(const TssPrivateKey& key) {
  uint64_t parent = 0;
  if (ASN1_INTEGER_get_uint64(&parent, key.parent) != 1) {
    ERR_clear_error();
    return std::nullopt;
  }
  const bool known = parent == TPM2_RH_OWNER || (parent >= TPM2_PERSISTENT_FIRST && parent <= TPM2_PERSISTENT_LAST);
  return known ? std::optional(static_cast<std::uint32_t>(parent)) : std::nullopt;
}

/// Whether its policy, if it has one, is one TPM2_PolicyPCR.
bool has_known_policy(const TssPrivateKey& key) {
  if (key.policy == nullptr) return true;
  if (sk_TssPolicy_num(key.policy) != 1) return false;
  uint64_t command = 0;
  const bool known = ASN1_INTEGER_get_uint64(&command, sk_TssPolicy_value(key.policy, 0)->command) == 1 &&
                     command == TPM2_CC_PolicyPCR;
  ERR_clear_error();
  return known;
}

Result<> check(const TssPrivateKey& key) {
  const Object loadable(OBJ_txt2obj(loadable_key_oid, 1));
  if (OBJ_cmp(key.type, loadable.get()) != 0) return fail(not_a_key("it is not a loadable key (2.23.133.10.1.3)"));
  if (!has_known_policy(key)) return fail(not_a_key("its policy is another one than TPM2_PolicyPCR"));
  if (!has_its_size(content(key.public_area))) return fail(not_a_key("the size of its public area is wrong"));
  if (!has_its_size(content(key.private_area))) return fail(not_a_key("the size of its private area is wrong"));
  return {};
}

bool set(ASN1_OCTET_STRING* octets, BytesView from) {
  return ASN1_OCTET_STRING_set(octets, as_uchar(from), static_cast<int>(from.size())) == 1;
}

bool set_policy(TssPrivateKey& key, BytesView body) {
  key.policy = sk_TssPolicy_new_null();
  auto* policy = reinterpret_cast<TssPolicy*>(ASN1_item_new(ASN1_ITEM_rptr(TssPolicy)));
  if (key.policy == nullptr || policy == nullptr || sk_TssPolicy_push(key.policy, policy) <= 0) {
    ASN1_item_free(reinterpret_cast<ASN1_VALUE*>(policy), ASN1_ITEM_rptr(TssPolicy));
    return false;
  }
  return ASN1_INTEGER_set_uint64(policy->command, TPM2_CC_PolicyPCR) == 1 && set(policy->body, body);
}

}  // namespace

Result<std::string> write_tss2_pem(const KeyBlob& blob) {
  const Item key(reinterpret_cast<TssPrivateKey*>(ASN1_item_new(ASN1_ITEM_rptr(TssPrivateKey))));
  if (!key) return fail(out_of_memory());
  ASN1_OBJECT_free(key->type);
  key->type = OBJ_txt2obj(loadable_key_oid, 1);
  key->empty_auth = blob.has_auth_value ? 0 : 0xFF;
  if (key->type == nullptr || ASN1_INTEGER_set_uint64(key->parent, blob.parent) != 1 ||
      (blob.pcr_policy && !set_policy(*key, *blob.pcr_policy)) || !set(key->public_area, blob.public_area) ||
      !set(key->private_area, blob.private_area)) {
    return fail(out_of_memory());
  }
  const Bytes der = der_of(*key);
  const Bio bio(BIO_new(BIO_s_mem()));
  if (der.empty() || !bio ||
      PEM_write_bio(bio.get(), pem_name, "", as_uchar(BytesView(der)), static_cast<long>(der.size())) <= 0) {
    return fail(out_of_memory());
  }
  return std::string(as_text(bio_bytes(bio.get())));
}

Result<KeyBlob> read_tss2_pem(std::string_view pem) {
  const auto der = der_in_key_file(pem, pem_name, not_a_key({}));
  if (!der) return fail(der.error());
  const unsigned char* at = as_uchar(BytesView(*der));
  const Item key(reinterpret_cast<TssPrivateKey*>(
      ASN1_item_d2i(nullptr, &at, static_cast<long>(der->size()), ASN1_ITEM_rptr(TssPrivateKey))));
  if (!key) return fail(not_a_key(openssl_reason()));
  // DER has one encoding for each value: this finds trailing bytes, BER lengths and padded integers.
  if (der_of(*key) != *der) return fail(not_a_key("it is not DER, or there are bytes after its end"));
  if (auto checked = check(*key); !checked) return fail(std::move(checked.error()));
  const auto parent = parent_of(*key);
  if (!parent) return fail(not_a_key("its parent is neither a persistent key nor the owner hierarchy"));
  KeyBlob blob{.public_area = content(key->public_area),
               .private_area = content(key->private_area),
               .parent = *parent,
               // Absent (-1) means false: trying the empty value would count towards the lockout.
               .has_auth_value = key->empty_auth <= 0};
  if (key->policy != nullptr) blob.pcr_policy = content(sk_TssPolicy_value(key->policy, 0)->body);
  return blob;
}

}  // namespace devid::tpm
