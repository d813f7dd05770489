#include "agent/pki/oid.h"

#include <openssl/err.h>
#include <openssl/objects.h>

#include <array>

namespace devid::pki {
namespace {

/// An encoded octet comes to two digits and more: nothing longer fits, and the conversion of a long one takes its time.
constexpr std::size_t longest_encoding = longest_oid / 2;

}  // namespace

std::optional<std::string> dotted(const ASN1_OBJECT* oid) {
  if (OBJ_length(oid) > longest_encoding) return std::nullopt;
  std::array<char, longest_oid + 1> text{};
  const int size = OBJ_obj2txt(text.data(), static_cast<int>(text.size()), oid, 1);
  ERR_clear_error();
  if (size <= 0 || static_cast<std::size_t>(size) > longest_oid) return std::nullopt;
  return text.data();
}

std::optional<std::string> dotted(const std::string& name_or_digits) {
  const Oid oid(OBJ_txt2obj(name_or_digits.c_str(), 0));
  ERR_clear_error();
  return oid ? dotted(oid.get()) : std::nullopt;
}

std::string oid_name(const ASN1_OBJECT* oid) {
  const int nid = OBJ_obj2nid(oid);
  if (nid != NID_undef) return OBJ_nid2sn(nid);
  return dotted(oid).value_or("an OID of " + std::to_string(OBJ_length(oid)) + " bytes");
}

Oid oid_of(const std::string& digits) {
  Oid oid(OBJ_txt2obj(digits.c_str(), 1));
  ERR_clear_error();
  return oid;
}

}  // namespace devid::pki
