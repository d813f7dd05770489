#pragma once

#include <string>
#include <vector>

namespace devid::test {

/// Encodes what `openssl asn1parse -genconf` reads: "OID:2.5.4.5", "UTF8:x", "INTEGER:1", "FORMAT:HEX,OCT:0500", with
/// its modifiers "IMPLICIT:0," and "OCTWRAP," before. Collects the sections of what holds other values.
class Asn1Text {
 public:
  /// Text for a SEQUENCE or SET of these, to be used in others or in der().
  std::string sequence(const std::vector<std::string>& items) { return constructed("SEQUENCE", items); }
  std::string set(const std::vector<std::string>& items) { return constructed("SET", items); }
  /// SEQUENCE { type, SET values }
  std::string attribute(const std::string& oid, const std::vector<std::string>& values) {
    return sequence({"OID:" + oid, set(values)});
  }
  [[nodiscard]] std::string der(const std::string& item) const;

 private:
  std::string constructed(const std::string& kind, const std::vector<std::string>& items);
  std::string sections_;
  unsigned count_ = 0;
};

/// A value of this tag, DER: what `openssl asn1parse` does not make are many values, large ones, and deep ones.
std::string wrap_der(char tag, const std::string& content);

/// So many of them, one within the other, with lengths, or without any end.
std::string deep_der(char tag, std::size_t depth);
std::string endless_ber(char tag, std::size_t depth);

/// By `openssl base64 -d`.
std::string from_base64(const std::string& text);

}  // namespace devid::test
