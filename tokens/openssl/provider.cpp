#include "tokens/openssl/provider.h"

#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/provider.h>

#include <array>

#include "base/openssl.h"
#include "tokens/openssl/dispatch.h"
#include "tokens/openssl/keymgmt.h"
#include "tokens/openssl/signature.h"

namespace devid::provider {
namespace {

constexpr const char* provider_name = "devid";

const OSSL_ALGORITHM* query(void* /*context*/, int operation, int* no_cache) noexcept {
  *no_cache = 0;
  if (operation == OSSL_OP_KEYMGMT) return keymgmt_algorithms();
  if (operation == OSSL_OP_SIGNATURE) return signature_algorithms();
  return nullptr;
}

int init(const OSSL_CORE_HANDLE* handle, const OSSL_DISPATCH* /*in*/, const OSSL_DISPATCH** out,
         void** context) noexcept {
  static const std::array functions{
      dispatch<OSSL_FUNC_provider_query_operation_fn>(OSSL_FUNC_PROVIDER_QUERY_OPERATION, query),
      end_of_dispatch,
  };
  *out = functions.data();
  // Nothing is kept here: whatever an operation needs comes with the key. OpenSSL only wants it not to be null.
  *context = const_cast<OSSL_CORE_HANDLE*>(handle);  // NOLINT(cppcoreguidelines-pro-type-const-cast)
  return 1;
}

Result<OSSL_LIB_CTX*> make_context() {
  Owned<OSSL_LIB_CTX, OSSL_LIB_CTX_free> context(OSSL_LIB_CTX_new());
  if (!context || OSSL_PROVIDER_add_builtin(context.get(), provider_name, init) == 0 ||
      OSSL_PROVIDER_load(context.get(), "default") == nullptr ||
      OSSL_PROVIDER_load(context.get(), provider_name) == nullptr) {
    return fail(openssl_error(Errc::internal, Retry::later, "cannot set up OpenSSL for keys of a token"));
  }
  return context.release();
}

}  // namespace

Result<OSSL_LIB_CTX*> private_context() {
  static const Result<OSSL_LIB_CTX*> context = make_context();
  return context;
}

}  // namespace devid::provider
