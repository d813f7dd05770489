#pragma once

#include <openssl/asn1.h>

#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace devid::test::asn1 {

/// DER by OpenSSL's functions for ANY, without templates: what the EST server for tests reads and writes messages with
/// that have no functions of their own. Errors are std::runtime_error.

Bytes sequence(const std::vector<Bytes>& elements);
Bytes set(const std::vector<Bytes>& elements);
Bytes integer(long value);
Bytes object(const std::string& oid);
Bytes octets(BytesView content);
Bytes utf8(std::string_view text);
Bytes generalized_time(std::time_t time);

/// The elements of a SEQUENCE or SET, DER each.
std::vector<Bytes> elements_of_sequence(BytesView der);
std::vector<Bytes> elements_of_set(BytesView der);
/// An OBJECT IDENTIFIER in dots.
std::string text_of_object(BytesView der);
/// With another tag in place of that of a SEQUENCE ([0] IMPLICIT is 0xa0), and back.
Bytes retagged(BytesView der, unsigned char tag);

}  // namespace devid::test::asn1
