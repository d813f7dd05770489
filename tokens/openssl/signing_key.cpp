#include "tokens/openssl/signing_key.h"

#include <openssl/core_names.h>
#include <openssl/params.h>

#include <array>
#include <utility>

#include "tokens/openssl/keymgmt.h"
#include "tokens/openssl/provider.h"
#include "tokens/openssl/shared_key.h"

namespace devid {

struct SigningKey::State {
  PublicKey public_key;
  provider::KeyReference shared;
  Pkey pkey;
};

namespace {

using PkeyContext = Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;

Error cannot_wrap() {
  return openssl_error(Errc::internal, Retry::later, "cannot make the key of the token known to OpenSSL");
}

/// The public part, in the default provider of the private context.
Pkey public_part(const PublicKey& key, OSSL_LIB_CTX* context) {
  const unsigned char* position = as_uchar(BytesView(key.spki));
  return Pkey(
      d2i_PUBKEY_ex(nullptr, &position, static_cast<long>(key.spki.size()), context, provider::default_property));
}

Pkey make_pkey(provider::SharedKey* shared, OSSL_LIB_CTX* context) {
  void* pointer = shared;
  std::array params{OSSL_PARAM_construct_octet_ptr(provider::shared_key_parameter, &pointer, sizeof(*shared)),
                    OSSL_PARAM_construct_end()};
  const PkeyContext maker(
      EVP_PKEY_CTX_new_from_name(context, is_rsa(shared->algorithm()) ? "RSA" : "EC", provider::our_property));
  EVP_PKEY* made = nullptr;
  if (!maker || EVP_PKEY_fromdata_init(maker.get()) <= 0 ||
      EVP_PKEY_fromdata(maker.get(), &made, EVP_PKEY_KEYPAIR, params.data()) <= 0) {
    return nullptr;
  }
  return Pkey(made);
}

}  // namespace

Result<std::unique_ptr<SigningKey>> SigningKey::wrap(PrivateKey& key) {
  const auto context = provider::private_context();
  if (!context) return fail(context.error());
  Pkey known = public_part(key.public_key(), *context);
  if (!known) return fail(cannot_wrap());
  auto shared = provider::SharedKey::make(key, std::move(known));
  Pkey pkey = make_pkey(shared.get(), *context);
  if (!pkey) return fail(cannot_wrap());
  auto state = std::make_unique<State>(
      State{.public_key = key.public_key(), .shared = std::move(shared), .pkey = std::move(pkey)});
  return std::unique_ptr<SigningKey>(new SigningKey(std::move(state)));
}

SigningKey::SigningKey(std::unique_ptr<State> state) : state_(std::move(state)) {}

SigningKey::~SigningKey() { state_->shared->detach(); }

EVP_PKEY* SigningKey::get() const { return state_->pkey.get(); }

const PublicKey& SigningKey::public_key() const { return state_->public_key; }

std::optional<Error> SigningKey::take_error() { return state_->shared->take_error(); }

unsigned SigningKey::signatures() const { return state_->shared->signatures(); }

}  // namespace devid
