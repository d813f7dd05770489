#include "tests/support/asn1_values.h"

#include <openssl/err.h>
#include <openssl/objects.h>

#include <array>
#include <span>
#include <stdexcept>

#include "base/openssl.h"

namespace devid::test::asn1 {
namespace {

using Any = Owned<ASN1_TYPE, ASN1_TYPE_free>;
using Anys = Owned<ASN1_SEQUENCE_ANY, [](ASN1_SEQUENCE_ANY* stack) { sk_ASN1_TYPE_pop_free(stack, ASN1_TYPE_free); }>;
using String = Owned<ASN1_STRING, ASN1_STRING_free>;
using Object = Owned<ASN1_OBJECT, ASN1_OBJECT_free>;

void check(bool ok, std::string_view doing) {
  if (!ok) throw std::runtime_error("cannot " + std::string(doing) + ": " + openssl_reason());
}

/// What an i2d function makes.
template <class Encode>
Bytes der_of(Encode encode) {
  unsigned char* data = nullptr;
  const int size = encode(&data);
  check(size > 0, "encode ASN.1");
  Bytes der = to_bytes(data, static_cast<std::size_t>(size));
  OPENSSL_free(data);
  return der;
}

Anys stack_of(const std::vector<Bytes>& elements) {
  Anys stack(sk_ASN1_TYPE_new_null());
  for (const Bytes& each : elements) {
    const unsigned char* position = as_uchar(BytesView(each));
    Any any(d2i_ASN1_TYPE(nullptr, &position, static_cast<long>(each.size())));
    check(any && sk_ASN1_TYPE_push(stack.get(), any.get()) > 0, "put ASN.1 together");
    static_cast<void>(any.release());
  }
  return stack;
}

std::vector<Bytes> elements_of(const Anys& stack, BytesView der) {
  check(stack != nullptr, "read " + std::to_string(der.size()) + " bytes of ASN.1");
  std::vector<Bytes> elements;
  for (int i = 0; i < sk_ASN1_TYPE_num(stack.get()); ++i)
    elements.push_back(
        der_of([&](unsigned char** out) { return i2d_ASN1_TYPE(sk_ASN1_TYPE_value(stack.get(), i), out); }));
  return elements;
}

Bytes string(int type, BytesView content) {
  const String made(ASN1_STRING_type_new(type));
  check(made && ASN1_STRING_set(made.get(), content.data(), static_cast<int>(content.size())) == 1, "make a string");
  const Any any(ASN1_TYPE_new());
  check(any && ASN1_TYPE_set1(any.get(), type, made.get()) == 1, "make a string");
  return der_of([&](unsigned char** out) { return i2d_ASN1_TYPE(any.get(), out); });
}

}  // namespace

Bytes sequence(const std::vector<Bytes>& elements) {
  const Anys stack = stack_of(elements);
  return der_of([&](unsigned char** out) { return i2d_ASN1_SEQUENCE_ANY(stack.get(), out); });
}

Bytes set(const std::vector<Bytes>& elements) {
  const Anys stack = stack_of(elements);
  return der_of([&](unsigned char** out) { return i2d_ASN1_SET_ANY(stack.get(), out); });
}

Bytes integer(long value) {
  const Owned<ASN1_INTEGER, ASN1_INTEGER_free> number(ASN1_INTEGER_new());
  check(number && ASN1_INTEGER_set(number.get(), value) == 1, "make a number");
  return der_of([&](unsigned char** out) { return i2d_ASN1_INTEGER(number.get(), out); });
}

Bytes object(const std::string& oid) {
  const Object made(OBJ_txt2obj(oid.c_str(), 1));
  check(made != nullptr, "make an OID of " + oid);
  return der_of([&](unsigned char** out) { return i2d_ASN1_OBJECT(made.get(), out); });
}

Bytes octets(BytesView content) { return string(V_ASN1_OCTET_STRING, content); }

Bytes utf8(std::string_view text) { return string(V_ASN1_UTF8STRING, as_bytes(text)); }

Bytes generalized_time(std::time_t time) {
  const Owned<ASN1_GENERALIZEDTIME, ASN1_GENERALIZEDTIME_free> made(ASN1_GENERALIZEDTIME_set(nullptr, time));
  check(made != nullptr, "make a time");
  return der_of([&](unsigned char** out) { return i2d_ASN1_GENERALIZEDTIME(made.get(), out); });
}

std::vector<Bytes> elements_of_sequence(BytesView der) {
  const unsigned char* position = as_uchar(der);
  return elements_of(Anys(d2i_ASN1_SEQUENCE_ANY(nullptr, &position, static_cast<long>(der.size()))), der);
}

std::vector<Bytes> elements_of_set(BytesView der) {
  const unsigned char* position = as_uchar(der);
  return elements_of(Anys(d2i_ASN1_SET_ANY(nullptr, &position, static_cast<long>(der.size()))), der);
}

std::string text_of_object(BytesView der) {
  const unsigned char* position = as_uchar(der);
  const Object made(d2i_ASN1_OBJECT(nullptr, &position, static_cast<long>(der.size())));
  check(made != nullptr, "read an OID");
  std::array<char, 128> text{};
  OBJ_obj2txt(text.data(), static_cast<int>(text.size()), made.get(), 1);
  return text.data();
}

Bytes retagged(BytesView der, unsigned char tag) {
  Bytes changed = to_bytes(der);
  if (!changed.empty()) changed.front() = std::byte{tag};
  return changed;
}

}  // namespace devid::test::asn1
