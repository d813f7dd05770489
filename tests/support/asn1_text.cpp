#include "tests/support/asn1_text.h"

#include "tests/support/command.h"

namespace devid::test {

std::string Asn1Text::constructed(const std::string& kind, const std::vector<std::string>& items) {
  const std::string section = "s" + std::to_string(++count_);
  sections_ += "[" + section + "]\n";
  for (std::size_t i = 0; i < items.size(); ++i) sections_ += "i" + std::to_string(i) + "=" + items[i] + "\n";
  return kind + ":" + section;
}

std::string Asn1Text::der(const std::string& item) const {
  return output_of({.argv = {"openssl", "asn1parse", "-genconf", "/dev/stdin", "-noout", "-out", "/dev/stdout"},
                    .input = "asn1=" + item + "\n" + sections_});
}

std::string wrap_der(char tag, const std::string& content) {
  std::string length;
  for (std::size_t left = content.size(); left > 0; left >>= 8U) length.insert(0, 1, static_cast<char>(left & 0xffU));
  if (content.size() < 0x80) return std::string{tag, static_cast<char>(content.size())} + content;
  return std::string{tag, static_cast<char>(0x80U | length.size())} + length + content;
}

std::string deep_der(char tag, std::size_t depth) {
  std::string deep;
  for (std::size_t i = 0; i < depth; ++i) deep = wrap_der(tag, deep);
  return deep;
}

std::string endless_ber(char tag, std::size_t depth) {
  std::string endless;
  for (std::size_t i = 0; i < depth; ++i) endless += {tag, '\x80'};
  return endless;
}

std::string from_base64(const std::string& text) {
  return output_of({.argv = {"openssl", "base64", "-d", "-A"}, .input = text});
}

}  // namespace devid::test
