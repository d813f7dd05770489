#include "agent/pki/server_key.h"

#include <openssl/err.h>
#include <openssl/x509.h>

#include <string>
#include <utility>
#include <variant>

#include "agent/pki/envelope.h"
#include "agent/pki/key_package.h"
#include "tokens/public_key.h"

namespace devid::pki {
namespace {

using PrivateKeyInfo = Owned<PKCS8_PRIV_KEY_INFO, PKCS8_PRIV_KEY_INFO_free>;  ///< which wipes the key
using PkeyContext = Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;

Error malformed(std::string reason) {
  return {.code = Errc::answer_malformed,
          .retry = Retry::later,
          .what = "cannot read the private key in the server's answer",
          .reason = std::move(reason),
          .hint = "see the EST server's log: it must send a PKCS#8 key, or a key package (RFC 7030 4.4.2)"};
}

Error other_form(std::string_view what, std::string_view hint) {
  return {.code = Errc::server_protocol,
          .retry = Retry::after_operator,
          .what = std::string(what),
          .reason = {},
          .hint = std::string(hint)};
}

/// Whether the private half fits the public one: a token could not say what is wrong.
bool is_pair(EVP_PKEY* key) {
  const PkeyContext context(EVP_PKEY_CTX_new(key, nullptr));
  return context && EVP_PKEY_pairwise_check(context.get()) == 1;
}

Result<ServerKey> understand(Secret pkcs8) {
  const unsigned char* position = as_uchar(pkcs8.reveal());
  const PrivateKeyInfo info(d2i_PKCS8_PRIV_KEY_INFO(nullptr, &position, static_cast<long>(pkcs8.size())));
  const Pkey key(info ? EVP_PKCS82PKEY(info.get()) : nullptr);
  if (!key) return fail(malformed(openssl_reason()));
  auto known = public_key_of(key.get());
  if (!known) return fail(while_doing("use the private key in the server's answer", std::move(known.error())));
  if (!is_pair(key.get())) return fail(malformed("its private half does not fit its public one: " + openssl_reason()));
  return ServerKey{.pkcs8 = std::move(pkcs8), .public_key = std::move(*known)};
}

}  // namespace

Result<ServerKey> read_plain_key(BytesView der) {
  auto pkcs8 = read_key_package(der);
  if (!pkcs8) return fail(std::move(pkcs8.error()));
  return understand(std::move(*pkcs8));
}

Result<ServerKey> read_enveloped_key(BytesView der, const DecryptionKey& decryption) {
  const auto content = open_envelope(der, decryption);
  if (!content) return fail(content.error());
  return read_plain_key(content->reveal());
}

Result<ServerKey> read_server_key(ServerKeyForm form, BytesView der, const DecryptionKey& agreed) {
  const bool encrypted = form == ServerKeyForm::enveloped;
  const bool wanted = !std::holds_alternative<std::monostate>(agreed);
  if (encrypted && !wanted)
    return fail(other_form("the server has encrypted the private key, and no decryption key was agreed on",
                           "give the profile a decryption key, or let the server send the key as it is"));
  if (!encrypted && wanted)
    return fail(other_form("the server has not encrypted the private key, although the request names a decryption key",
                           "let the server encrypt it: find out whether it knows the decryption key, and whether "
                           "somebody between has taken the encryption away"));
  return encrypted ? read_enveloped_key(der, agreed) : read_plain_key(der);
}

}  // namespace devid::pki
