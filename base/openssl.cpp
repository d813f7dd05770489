#include "base/openssl.h"

#include <openssl/err.h>

#include <array>

namespace devid {

std::string openssl_reason() {
  std::string text;
  const char* data = nullptr;
  int flags = 0;
  while (const unsigned long code = ERR_get_error_all(nullptr, nullptr, nullptr, &data, &flags)) {
    std::array<char, 256> line{};
    const char* reason = ERR_reason_error_string(code);
    if (reason == nullptr) {
      ERR_error_string_n(code, line.data(), line.size());
      reason = line.data();
    }
    if (!text.empty()) text += "; ";
    text += reason;
    if ((flags & ERR_TXT_STRING) != 0 && data != nullptr && *data != '\0') text.append(": ").append(data);
  }
  return text.empty() ? "no reason given" : text;
}

Error openssl_error(Errc code, Retry retry, std::string_view what) {
  return {.code = code, .retry = retry, .what = std::string(what), .reason = openssl_reason()};
}

int no_passphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*context*/) { return -1; }

Bytes bio_bytes(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  if (size <= 0) return {};
  return to_bytes(as_bytes({data, static_cast<std::size_t>(size)}));
}

}  // namespace devid
