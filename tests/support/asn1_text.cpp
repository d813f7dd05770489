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

std::string from_base64(const std::string& text) {
  return output_of({.argv = {"openssl", "base64", "-d", "-A"}, .input = text});
}

}  // namespace devid::test
