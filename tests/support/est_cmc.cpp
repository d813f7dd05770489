#include "tests/support/est_cmc.h"

#include <openssl/cms.h>
#include <openssl/err.h>

#include <array>
#include <ctime>
#include <stdexcept>

#include "tests/support/asn1_values.h"

namespace devid::test {
namespace {

using Message = Owned<CMS_ContentInfo, CMS_ContentInfo_free>;

constexpr const char* pki_data = "1.3.6.1.5.5.7.12.2";
constexpr const char* pki_response = "1.3.6.1.5.5.7.12.3";
constexpr const char* status_info = "1.3.6.1.5.5.7.7.1";
constexpr const char* transaction_id = "1.3.6.1.5.5.7.7.5";
constexpr const char* sender_nonce = "1.3.6.1.5.5.7.7.6";
constexpr const char* recipient_nonce = "1.3.6.1.5.5.7.7.7";
constexpr const char* status_info_v2 = "1.3.6.1.5.5.7.7.25";
constexpr unsigned char sequence_tag = 0x30;
constexpr unsigned char first_choice_tag = 0xa0;  // [0] IMPLICIT: a PKCS#10 request
constexpr std::time_t hour = 3600;

std::string type_of(const ASN1_OBJECT* object) {
  std::array<char, 128> text{};
  OBJ_obj2txt(text.data(), static_cast<int>(text.size()), object, 1);
  return text.data();
}

/// The content of a SignedData whose signatures hold.
std::optional<Bytes> verified(CMS_ContentInfo* message) {
  const Bio out(BIO_new(BIO_s_mem()));
  if (type_of(CMS_get0_eContentType(message)) != pki_data) return std::nullopt;
  if (CMS_verify(message, nullptr, nullptr, nullptr, out.get(), CMS_NO_SIGNER_CERT_VERIFY | CMS_BINARY) != 1)
    return std::nullopt;
  return bio_bytes(out.get());
}

void read_data(BytesView data, CmcMessage& into) {
  const auto parts = asn1::elements_of_sequence(data);  // controls, requests, messages, others
  for (const Bytes& control : asn1::elements_of_sequence(parts.at(0))) {
    const auto fields = asn1::elements_of_sequence(control);  // body part, type, values
    const std::string type = asn1::text_of_object(fields.at(1));
    if (type == transaction_id) into.transaction = asn1::elements_of_set(fields.at(2)).at(0);
    if (type == sender_nonce) into.nonce = asn1::elements_of_set(fields.at(2)).at(0);
  }
  const Bytes tagged = asn1::elements_of_sequence(parts.at(1)).at(0);
  if (tagged.front() != std::byte{first_choice_tag}) return;
  into.request = read_request(asn1::elements_of_sequence(asn1::retagged(tagged, sequence_tag)).at(1));
}

Bytes control(long number, const char* type, const Bytes& value) {
  return asn1::sequence({asn1::integer(number), asn1::object(type), asn1::set({value})});
}

Bytes status_control(CmcOutcome outcome) {
  const Bytes bodies = asn1::sequence({asn1::integer(3)});
  switch (outcome) {
    case CmcOutcome::failed:
      return control(
          1, status_info_v2,
          asn1::sequence({asn1::integer(2), bodies, asn1::utf8("this device is not known"), asn1::integer(7)}));
    case CmcOutcome::pending: {
      const Bytes pending =
          asn1::sequence({asn1::octets(as_bytes("token")), asn1::generalized_time(std::time(nullptr) + hour)});
      return control(1, status_info_v2,
                     asn1::sequence({asn1::integer(3), bodies, asn1::utf8("somebody has to look at it"), pending}));
    }
    case CmcOutcome::pending_without_time:
      return control(1, status_info_v2,
                     asn1::sequence({asn1::integer(3), bodies, asn1::utf8("nobody knows how long it takes")}));
    case CmcOutcome::issued: break;
  }
  return control(1, status_info, asn1::sequence({asn1::integer(0), bodies}));
}

}  // namespace

std::optional<CmcMessage> read_cmc_message(BytesView der) {
  const unsigned char* position = as_uchar(der);
  const Message message(d2i_CMS_ContentInfo(nullptr, &position, static_cast<long>(der.size())));
  const auto data = message ? verified(message.get()) : std::nullopt;
  ERR_clear_error();
  if (!data) return std::nullopt;
  CmcMessage read;
  read.certificates.reset(CMS_get1_certs(message.get()));
  const Owned<STACK_OF(X509), [](STACK_OF(X509) * stack) { sk_X509_free(stack); }> signers(
      CMS_get0_signers(message.get()));
  X509* const signer = sk_X509_value(signers.get(), 0);
  if (sk_X509_num(signers.get()) != 1 || X509_up_ref(signer) != 1) return std::nullopt;
  read.signer.reset(signer);
  try {
    read_data(*data, read);
  } catch (const std::exception&) {
    return std::nullopt;
  }
  const bool complete = read.request && !read.nonce.empty() && !read.transaction.empty();
  return complete ? std::optional(std::move(read)) : std::nullopt;
}

Bytes cmc_response(const CmcMessage& message, CmcOutcome outcome, const EstIssuer& issuer, X509* certificate) {
  const Bytes none = asn1::sequence({});
  const Bytes controls = asn1::sequence({status_control(outcome), control(2, transaction_id, message.transaction),
                                         control(3, recipient_nonce, message.nonce)});
  std::vector<X509*> certificates;
  if (certificate != nullptr) certificates.push_back(certificate);
  return issuer.sign_message(asn1::sequence({controls, none, none}), pki_response, certificates);
}

}  // namespace devid::test
