#include "agent/pki/chain.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace devid::pki {
namespace {

using Store = Owned<X509_STORE, X509_STORE_free>;
using StoreContext = Owned<X509_STORE_CTX, X509_STORE_CTX_free>;
using Stack = Owned<STACK_OF(X509), [](STACK_OF(X509) * stack) { sk_X509_free(stack); }>;  ///< of borrowed certificates

constexpr std::size_t longest_chain = 8;  ///< certificates from the leaf to below the anchor
constexpr int security_level = 2;         ///< 112 bits

bool is_validity_error(int error) {
  return error == X509_V_ERR_CERT_NOT_YET_VALID || error == X509_V_ERR_CERT_HAS_EXPIRED;
}

Error untrusted(std::string reason) {
  return {.code = Errc::certificate_untrusted,
          .retry = Retry::later,
          .what = "the certificate does not lead to a trust anchor",
          .reason = std::move(reason),
          .hint =
              "compare the trust anchors with the CA that issues: trust_anchors in the profile's [certificate], or "
              "those of its [server]; after a move to another CA, devidctl enroll --force"};
}

/// What OpenSSL's verifier found, and on which certificate.
Error verdict(X509_STORE_CTX* context) {
  const int code = X509_STORE_CTX_get_error(context);
  std::string reason = X509_verify_cert_error_string(code);
  if (X509* const at = X509_STORE_CTX_get_current_cert(context); at != nullptr)
    reason += ": " + Certificate::from_x509(at).subject();
  if (!is_validity_error(code)) return untrusted(std::move(reason));
  return {.code = Errc::certificate_not_valid_now,
          .retry = Retry::later,
          .what = "a certificate of the chain is not valid now",
          .reason = std::move(reason),
          .hint = "check the clock of this device, then the CA"};
}

/// Finds a way from a leaf to an anchor among certificates that may all be hostile. OpenSSL's own search takes the
/// first issuer whose name fits and never turns back, so one stale or forged certificate in the pool can hide a good
/// one. Here an issuer is one whose key made the signature; OpenSSL then judges each way that was found, by itself. The
/// budgets bound the time that a hostile pool can cost.
class PathSearch {
 public:
  PathSearch(const std::vector<Certificate>& pool, const std::vector<Certificate>& anchors, Time now)
      : pool_(pool), anchors_(anchors), now_(now) {}

  Result<std::vector<Certificate>> run(const Certificate& leaf) {
    path_ = {leaf};
    if (std::ranges::find(anchors_, leaf) != anchors_.end()) {
      if (judge(leaf)) return std::vector<Certificate>{};
    } else if (extend()) {
      return std::vector<Certificate>(path_.begin() + 1, path_.end());
    }
    return fail(first_error_.value_or(
        untrusted("no issuer is known for " + path_.front().subject() + ", issued by " + path_.front().issuer())));
  }

 private:
  bool extend() {
    const auto leads_to = [&](const Certificate& anchor) { return has_issued(anchor, path_.back()) && judge(anchor); };
    if (std::ranges::any_of(anchors_, leads_to)) return true;
    if (path_.size() == longest_chain) return false;
    return std::ranges::any_of(pool_, [this](const Certificate& candidate) {
      if (!may_issue(candidate) || !has_issued(candidate, path_.back())) return false;
      path_.push_back(candidate);
      if (extend()) return true;
      path_.pop_back();
      return false;
    });
  }

  /// The verifier also lets certificates without basicConstraints issue, if they are old enough; an intermediate that
  /// comes from outside has to say that it is a CA.
  bool may_issue(const Certificate& candidate) const {
    return X509_check_ca(candidate.get()) == 1 && std::ranges::find(path_, candidate) == path_.end() &&
           std::ranges::find(anchors_, candidate) == anchors_.end();
  }

  bool has_issued(const Certificate& issuer, const Certificate& subject) {
    if (X509_NAME_cmp(X509_get_subject_name(issuer.get()), X509_get_issuer_name(subject.get())) != 0) return false;
    EVP_PKEY* const key = X509_get0_pubkey(issuer.get());
    if (key == nullptr || signatures_left_ == 0) return false;
    --signatures_left_;
    const bool good = X509_verify(subject.get(), key) == 1;
    ERR_clear_error();
    return good;
  }

  /// OpenSSL's word on the path below this anchor.
  bool judge(const Certificate& anchor) {
    if (judgements_left_ == 0) return false;
    --judgements_left_;
    auto verified = verify_path(path_, anchor, now_);
    if (verified) return true;
    if (!first_error_) first_error_ = std::move(verified.error());
    return false;
  }

  const std::vector<Certificate>& pool_;
  const std::vector<Certificate>& anchors_;
  Time now_;
  std::vector<Certificate> path_;
  std::optional<Error> first_error_;
  unsigned signatures_left_ = 256;
  unsigned judgements_left_ = 16;
};

}  // namespace

Result<std::vector<Certificate>> build_chain(const Certificate& leaf, const std::vector<Certificate>& pool,
                                             const std::vector<Certificate>& anchors, Time now) {
  ERR_clear_error();
  return PathSearch(pool, anchors, now).run(leaf);
}

Result<> verify_path(const std::vector<Certificate>& path, const Certificate& anchor, Time now) {
  ERR_clear_error();
  const Store store(X509_STORE_new());
  const Stack intermediates(sk_X509_new_null());
  const StoreContext context(X509_STORE_CTX_new());
  if (path.empty()) return fail(untrusted("there is no certificate"));
  for (auto each = path.begin() + 1; each != path.end(); ++each) sk_X509_push(intermediates.get(), each->get());
  if (!store || !context || X509_STORE_add_cert(store.get(), anchor.get()) != 1 ||
      X509_STORE_CTX_init(context.get(), store.get(), path.front().get(), intermediates.get()) != 1) {
    return fail(openssl_error(Errc::internal, Retry::later, "cannot verify a certificate"));
  }
  X509_VERIFY_PARAM* const parameters = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_PARTIAL_CHAIN);
  X509_VERIFY_PARAM_set_time(parameters, now.time_since_epoch().count());
  X509_VERIFY_PARAM_set_auth_level(parameters, security_level);
  X509_VERIFY_PARAM_set_depth(parameters, static_cast<int>(longest_chain));
  const bool good = X509_verify_cert(context.get()) == 1;
  ERR_clear_error();
  if (good) return {};
  return fail(verdict(context.get()));
}

}  // namespace devid::pki
