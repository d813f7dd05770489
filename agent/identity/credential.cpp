#include "agent/identity/credential.h"

#include <openssl/rand.h>

#include <utility>

#include "base/openssl.h"
#include "tokens/public_key.h"

namespace devid::identity {

Result<Credential> open_ldevid(Token& token, const Generation& generation) {
  auto key = token.open_key(generation.token_key_pem);
  if (!key) return fail(while_doing("open the key of the current credential", std::move(key.error())));
  return Credential{.key = std::move(*key), .certificate = generation.leaf, .chain = generation.chain};
}

Result<> prove_possession(PrivateKey& key, const pki::Certificate& certificate) {
  const auto public_key = certificate.public_key();
  if (!public_key) return fail(public_key.error());
  const SignatureScheme scheme{.digest = digest_for(public_key->algorithm),
                               .padding = is_rsa(public_key->algorithm) ? Padding::rsa_pkcs1 : Padding::none};
  Bytes digest(digest_size(scheme.digest));
  if (RAND_bytes(as_uchar(std::span(digest)), static_cast<int>(digest.size())) != 1)
    return fail(openssl_error(Errc::internal, Retry::later, "no random numbers"));
  const auto signature = key.sign(digest, scheme);
  if (!signature) return fail(signature.error());
  return verify(*public_key, digest, scheme, *signature);
}

Result<> prove_possession(Token& token, std::string_view token_key_pem, const pki::Certificate& certificate) {
  constexpr std::string_view doing = "prove that the new key signs for its certificate";
  auto key = token.open_key(token_key_pem);
  if (!key) return fail(while_doing(doing, std::move(key.error())));
  if (auto proven = prove_possession(**key, certificate); !proven)
    return fail(while_doing(doing, std::move(proven.error())));
  return {};
}

}  // namespace devid::identity
