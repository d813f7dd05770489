#include "agent/identity/anchors.h"

#include <utility>

#include "base/file.h"

namespace devid::identity {
namespace {

constexpr std::size_t size_limit = 1UL << 20U;

Error needs_operator(Error error, Errc code) {
  error.code = code;
  error.retry = Retry::after_operator;
  if (error.hint.empty()) error.hint = "the profile's trust_anchors must name a PEM file with one certificate or more";
  return error;
}

}  // namespace

Result<std::vector<pki::Certificate>> read_anchors(const std::filesystem::path& file) {
  auto text = read_file(file, size_limit, Errc::config_missing);
  if (!text) return fail(while_doing("read the trust anchors", needs_operator(text.error(), Errc::config_missing)));
  auto certificates = pki::read_certificates(as_bytes(*text));
  if (certificates) return certificates;
  return fail(while_doing("use the trust anchors in " + file.string(),
                          needs_operator(std::move(certificates.error()), Errc::config_invalid)));
}

}  // namespace devid::identity
