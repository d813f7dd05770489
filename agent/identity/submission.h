#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "agent/est/session.h"
#include "agent/identity/application.h"
#include "agent/identity/request.h"
#include "agent/identity/workplace.h"
#include "base/result.h"
#include "tokens/openssl/signing_key.h"
#include "tokens/token.h"

namespace devid::identity {

/// What came back for a request.
using Outcome = std::variant<est::Issued, est::GeneratedKey, est::Pending>;

/// One request on its way to the CA: made for a key, kept on disk before it is sent, and made anew, for the same key,
/// for each connection to which it has to be tied (RFC 7030 3.5). All that it is given is borrowed, and outlives it.
class Submission {
 public:
  /// A request for a key that was just made. Nothing of it is on disk yet.
  static Result<Submission> begin(const Workplace& place, const Application& application);
  /// A request for another certificate of the current key.
  static Result<Submission> begin_with_current_key(const Workplace& place, const Application& application);
  /// The request that the store keeps. Its key is opened only if the request has to be made anew: one that is tied to
  /// an earlier connection always is.
  static Submission resume(const Workplace& place, const Application& application, Request request);

  /// Sends it, by the operation that kind of job and profile ask for. A server that answers that it misses the proof of
  /// possession gets it, if the profile allows that. Errors: those of est::Session, of the token and of the store.
  Result<Outcome> send();

  /// As it is on disk, or will be.
  [[nodiscard]] const Request& request() const { return request_; }
  /// Whether it is on disk: the key of one that is not is in AbandonedKeys.
  [[nodiscard]] bool is_kept() const { return kept_; }
  /// Closes the key, so that it can be destroyed.
  void close_key();

 private:
  Submission(const Workplace& place, const Application& application, Request request);
  [[nodiscard]] bool may_bind() const;
  void free_of_other_connections();
  Result<SigningKey*> open_key();
  Result<Bytes> make(const std::optional<std::string>& binding);
  Result<est::CsrSource> source();
  Result<Outcome> post();
  Result<Outcome> post_cmc();

  const Workplace& place_;
  const Application& application_;
  Request request_;
  bool kept_ = false;
  bool stale_ = false;  ///< what is kept is tied to a connection that is gone, and is made again without
  bool bound_ = false;  ///< by the profile's will, the server's wish in /csrattrs, or its refusal
  std::unique_ptr<PrivateKey> key_;
  std::unique_ptr<SigningKey> signing_key_;
};

}  // namespace devid::identity
