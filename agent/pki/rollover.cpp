#include "agent/pki/rollover.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

#include "agent/pki/chain.h"

namespace devid::pki {
namespace {

constexpr std::size_t most_offered = 64;
constexpr std::size_t longest_chain = 8;  ///< certificates to below the anchor, as in chain.cpp
constexpr std::size_t shown_name = 200;   ///< bytes of a subject in a remark
constexpr int security_bits = 112;        ///< of OpenSSL's level 2, as in chain.cpp

Error untrusted(std::string reason) {
  return {.code = Errc::certificate_untrusted,
          .retry = Retry::later,
          .what = "the certificate does not succeed a root that is trusted",
          .reason = std::move(reason),
          .hint = "an operator has to put the new root into the profile's trust_anchors"};
}

bool contains(const std::vector<Certificate>& list, const Certificate& one) {
  return std::ranges::find(list, one) != list.end();
}

std::vector<Certificate> unique(std::vector<Certificate> list) {
  std::vector<Certificate> each;
  for (Certificate& one : list)
    if (!contains(each, one)) each.push_back(std::move(one));
  return each;
}

bool has_same_subject(const Certificate& one, const Certificate& other) {
  return X509_NAME_cmp(X509_get_subject_name(one.get()), X509_get_subject_name(other.get())) == 0;
}

bool names_as_issuer(const Certificate& certificate, const Certificate& issuer) {
  return X509_NAME_cmp(X509_get_subject_name(issuer.get()), X509_get_issuer_name(certificate.get())) == 0;
}

bool has_same_key(const Certificate& one, const Certificate& other) {
  const EVP_PKEY* const key = X509_get0_pubkey(one.get());
  const EVP_PKEY* const other_key = X509_get0_pubkey(other.get());
  const bool same = key != nullptr && other_key != nullptr && EVP_PKEY_eq(key, other_key) == 1;
  ERR_clear_error();
  return same;
}

bool is_ca(const Certificate& certificate) { return X509_check_ca(certificate.get()) == 1; }

/// Checks signatures, so many and no more: what is offered may be made to cost time.
class Signatures {
 public:
  /// Whether `issuer` has the name and the key that `certificate` was signed with.
  bool lead_to(const Certificate& issuer, const Certificate& certificate) {
    if (!names_as_issuer(certificate, issuer)) return false;
    EVP_PKEY* const key = X509_get0_pubkey(issuer.get());
    const bool good = key != nullptr && left_ > 0 && X509_verify(certificate.get(), key) == 1;
    if (left_ > 0) --left_;
    ERR_clear_error();
    return good;
  }
  [[nodiscard]] bool exhausted() const { return left_ == 0; }

 private:
  unsigned left_ = 256;
};

/// What confines a CA to less than all that is below it, apart from the length of paths.
const char* limit_of(const Certificate& ca) {
  const std::pair<int, const char*> limits[] = {{NID_name_constraints, "names"},
                                                {NID_policy_constraints, "policies"},
                                                {NID_inhibit_any_policy, "policies"},
                                                {NID_ext_key_usage, "uses"}};
  for (const auto& [extension, what] : limits)
    if (X509_get_ext_by_NID(ca.get(), extension, -1) >= 0) return what;
  return nullptr;
}

/// A path below the one certificate may be longer than the other one allows.
bool reaches_further(const Certificate& one, const Certificate& other) {
  const long allowed = X509_get_pathlen(other.get());
  const long claimed = X509_get_pathlen(one.get());
  return allowed >= 0 && (claimed < 0 || claimed > allowed);
}

/// A self-signed certificate can be an anchor.
Result<> check_anchor(const Certificate& root, Time now) {
  if (!is_ca(root)) return fail(untrusted("it is no CA"));
  return verify_path({root}, root, now);
}

/// What a link has to be before anybody looks for who signed it.
Result<> check_form(const Certificate& root, const Certificate& link) {
  if (!has_same_subject(root, link) || !has_same_key(root, link))
    return fail(untrusted("the link is for another name or key"));
  if (!is_ca(link)) return fail(untrusted("its link is no CA"));
  if (!link.is_self_issued()) {
    return fail(untrusted(fmt::format("its link was issued by {}: a CA below it, not a root that succeeds it",
                                      printable(link.issuer(), shown_name))));
  }
  if (const char* const limit = limit_of(link); limit != nullptr)
    return fail(untrusted(fmt::format("its link limits the {} of what is below it", limit)));
  if (reaches_further(root, link)) return fail(untrusted("its link allows shorter paths only"));
  return {};
}

bool is_strongly_signed(const Certificate& certificate) {
  int bits = 0;
  const bool known = X509_get_signature_info(certificate.get(), nullptr, nullptr, &bits, nullptr) == 1;
  ERR_clear_error();
  return known && bits >= security_bits;
}

/// Whether an anchor that has signed a link may do so.
Result<> check_predecessor(const Certificate& anchor, const Certificate& link, Time now) {
  if (limit_of(anchor) != nullptr) return fail(untrusted("the root before it is limited itself"));
  if (reaches_further(link, anchor)) return fail(untrusted("the root before it allows shorter paths only"));
  if (!has_same_key(anchor, link)) {
    // OpenSSL takes it for a self-signed certificate then.
    if (X509_get0_authority_key_id(link.get()) == nullptr)
      return fail(untrusted("its link lacks an authorityKeyIdentifier (RFC 5280 4.2.1.1)"));
    return verify_path({link}, anchor, now);
  }
  // A root that was renewed with its key: to OpenSSL that is another root, not a certificate below the old one.
  if (!is_strongly_signed(link)) return fail(untrusted("it is signed with a weak digest"));
  return check_anchor(anchor, now);
}

/// One look at what is offered.
class Look {
 public:
  Look(const std::vector<Certificate>& trusted, const std::vector<Certificate>& offered, Time now)
      : trusted_(unique(trusted)), now_(now) {
    const std::size_t looked_at = std::min(offered.size(), most_offered);
    offered_ = unique({offered.begin(), offered.begin() + static_cast<std::ptrdiff_t>(looked_at)});
    std::ranges::sort(offered_, {}, [](const Certificate& one) { return std::tuple(one.not_before(), one.der()); });
    if (looked_at < offered.size())
      rollover_.remarks.push_back(fmt::format("{} more certificates were not looked at", offered.size() - looked_at));
  }

  Rollover run() {
    std::ranges::copy_if(trusted_, std::back_inserter(live_),
                         [this](const Certificate& anchor) { return anchor.not_after() >= now_; });
    tell_roots_apart();
    follow_links();
    settle_anchors();
    collect_intermediates();
    for (const Certificate& root : roots_) remark(root, why_not_followed(root));
    for (const Certificate& left : others_) remark(left, why_left(left));
    return std::move(rollover_);
  }

 private:
  /// Those that could be new roots, and the rest of what is not trusted already.
  void tell_roots_apart() {
    for (const Certificate& each : offered_) {
      if (contains(trusted_, each)) continue;
      const bool self_signed = each.is_self_issued() && link_signatures_.lead_to(each, each);
      const auto usable = self_signed ? check_anchor(each, now_) : Result<>();
      if (!usable) {
        remark(each, usable.error().reason);
      } else {
        (self_signed ? roots_ : others_).push_back(each);
      }
    }
  }

  /// Takes in the roots that links lead to. Each pair of anchor and link is looked at once.
  void follow_links() {
    std::size_t done = 0;
    while (done < live_.size()) {
      const Certificate anchor = live_[done++];
      for (const auto& links : {others_, roots_})
        for (const Certificate& link : links) follow(anchor, link);
    }
  }

  void follow(const Certificate& anchor, const Certificate& link) {
    if (!link.is_self_issued() || !link_signatures_.lead_to(anchor, link)) return;
    const auto checked = check_predecessor(anchor, link, now_);
    if (checked) take_in_successors(link);
    if (!checked) complaints_.emplace_back(link, checked.error().reason);
  }

  void take_in_successors(const Certificate& link) {
    std::erase_if(roots_, [&](const Certificate& root) {
      if (!check_form(root, link)) return false;
      live_.push_back(root);
      rollover_.added.push_back(root);
      rollover_.links.push_back(link);
      return true;
    });
  }

  /// What is wrong with the first link that it has.
  [[nodiscard]] std::string why_not_followed(const Certificate& root) const {
    for (const auto* links : {&rollover_.intermediates, &others_}) {
      for (const Certificate& link : *links) {
        if (!has_same_subject(root, link) || !has_same_key(root, link)) continue;
        if (const auto form = check_form(root, link); !form) return form.error().reason;
        return complaint_about(link).value_or("its link is not signed by a root that is trusted");
      }
    }
    return complaint_about(root).value_or("nothing links this root to one that is trusted");
  }

  void settle_anchors() {
    rollover_.anchors = live_.empty() ? unexpired(trusted_, now_) : live_;
    for (const Certificate& old : trusted_)
      if (!contains(rollover_.anchors, old)) rollover_.removed.push_back(old);
  }

  /// From the anchors downwards, so that each pair of certificates is looked at once.
  void collect_intermediates() {
    std::vector<std::vector<Certificate>> paths;  ///< each from a CA up to its anchor
    paths.reserve(rollover_.anchors.size() + others_.size());
    for (const Certificate& anchor : rollover_.anchors) paths.push_back({anchor});
    for (std::size_t i = 0; i < paths.size(); ++i) {
      if (paths[i].size() > longest_chain) continue;
      std::erase_if(others_, [&](const Certificate& candidate) {
        auto path = path_through(candidate, paths[i]);
        if (path.empty()) return false;
        rollover_.intermediates.push_back(candidate);
        paths.push_back(std::move(path));
        return true;
      });
    }
  }

  /// None if it is no CA below the first one of `above`.
  std::vector<Certificate> path_through(const Certificate& candidate, const std::vector<Certificate>& above) {
    if (!is_ca(candidate) || !signatures_.lead_to(above.front(), candidate)) return {};
    std::vector<Certificate> path{candidate};
    path.insert(path.end(), above.begin(), above.end() - 1);
    const auto verified = verify_path(path, above.back(), now_);
    if (!verified) complaints_.emplace_back(candidate, verified.error().reason);
    path.push_back(above.back());
    return verified ? path : std::vector<Certificate>{};
  }

  [[nodiscard]] std::optional<std::string> complaint_about(const Certificate& certificate) const {
    const auto found = std::ranges::find(complaints_, certificate, &std::pair<Certificate, std::string>::first);
    return found == complaints_.end() ? std::nullopt : std::optional(found->second);
  }

  [[nodiscard]] std::string why_left(const Certificate& certificate) const {
    if (!is_ca(certificate)) return "it is no CA";
    if (auto complaint = complaint_about(certificate)) return *complaint;
    if (signatures_.exhausted()) return "there were too many signatures to check";
    return fmt::format("no issuer is known: {}", printable(certificate.issuer(), shown_name));
  }

  void remark(const Certificate& certificate, const std::string& reason) {
    rollover_.remarks.push_back(fmt::format("{} (SHA-256 {}): {}", printable(certificate.subject(), shown_name),
                                            certificate.fingerprint(), reason));
  }

  std::vector<Certificate> trusted_;
  std::vector<Certificate> offered_;
  Time now_;
  Signatures link_signatures_;
  Signatures signatures_;                                        ///< of intermediates
  std::vector<Certificate> live_;                                ///< trusted, and not expired
  std::vector<Certificate> roots_;                               ///< offered, self-signed, and not trusted yet
  std::vector<Certificate> others_;                              ///< offered, and nothing of these
  std::vector<std::pair<Certificate, std::string>> complaints_;  ///< about those whose issuer is known
  Rollover rollover_;
};

}  // namespace

std::vector<Certificate> unexpired(const std::vector<Certificate>& anchors, Time now) {
  const std::vector<Certificate> all = unique(anchors);
  std::vector<Certificate> live;
  std::ranges::copy_if(all, std::back_inserter(live), [now](const Certificate& one) { return one.not_after() >= now; });
  if (!live.empty() || all.empty()) return live;
  return {*std::ranges::max_element(all, {}, &Certificate::not_after)};
}

Result<> verify_link(const Certificate& root, const Certificate& link, const std::vector<Certificate>& trusted,
                     Time now) {
  Signatures signatures;
  if (!signatures.lead_to(root, root)) return fail(untrusted("it is not signed with its own key"));
  if (auto usable = check_anchor(root, now); !usable) return usable;
  if (auto form = check_form(root, link); !form) return form;
  Error error = untrusted("its link is not signed by a root that is trusted");
  for (const Certificate& anchor : trusted) {
    if (!signatures.lead_to(anchor, link)) continue;
    auto checked = check_predecessor(anchor, link, now);
    if (checked) return {};
    error = std::move(checked.error());
  }
  return fail(std::move(error));
}

Rollover follow_rollover(const std::vector<Certificate>& trusted, const std::vector<Certificate>& offered, Time now) {
  return Look(trusted, offered, now).run();
}

}  // namespace devid::pki
