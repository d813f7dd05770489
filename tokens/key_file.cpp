#include "tokens/key_file.h"

#include <openssl/pem.h>

#include <cstddef>
#include <memory>
#include <string>

#include "base/openssl.h"

namespace devid {
namespace {

constexpr std::size_t largest_file = std::size_t{16} * 1024;

struct FreeMemory {
  void operator()(void* memory) const noexcept { OPENSSL_free(memory); }
};
template <class T>
using Memory = std::unique_ptr<T, FreeMemory>;

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t\r\n") == std::string_view::npos; }

}  // namespace

Result<Bytes> der_in_key_file(std::string_view pem, std::string_view name, const Error& refusal) {
  const auto refuse = [&refusal](std::string reason) {
    Error error = refusal;
    error.reason = std::move(reason);
    return fail(std::move(error));
  };
  if (pem.size() > largest_file) return refuse("it is too long");
  const std::string begin = "-----BEGIN " + std::string(name) + "-----";
  if (!pem.starts_with(begin)) return refuse("it does not begin with " + begin);
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  char* raw_name = nullptr;
  char* raw_header = nullptr;
  unsigned char* raw_der = nullptr;
  long size = 0;
  if (!bio || PEM_read_bio(bio.get(), &raw_name, &raw_header, &raw_der, &size) != 1) return refuse(openssl_reason());
  const Memory<char> owned_name(raw_name);
  const Memory<char> header(raw_header);
  const Memory<unsigned char> der(raw_der);
  if (*header != '\0') return refuse("it has PEM headers");
  if (!is_blank(as_text(bio_bytes(bio.get())))) return refuse("there is text after its end");
  return to_bytes(raw_der, static_cast<std::size_t>(size));
}

}  // namespace devid
