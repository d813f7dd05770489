#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "agent/identity/contact.h"
#include "agent/identity/credential.h"
#include "agent/identity/generation.h"
#include "agent/identity/job.h"
#include "agent/identity/request.h"
#include "agent/identity/workplace.h"
#include "agent/pki/request_plan.h"
#include "base/result.h"
#include "tokens/openssl/signing_key.h"
#include "tokens/token.h"

namespace devid::identity {

/// A device before its EST server, that is about to ask for a certificate: all that it holds then, in the order in
/// which it is made.
struct Application {
  JobKind kind;
  Token* token;                             ///< where the new key will be
  std::optional<Credential> credential;     ///< whom the device is; none where it shows no certificate
  std::unique_ptr<SigningKey> signing_key;  ///< of the credential
  std::optional<Generation> current;
  std::uint64_t next_generation;
  Contact contact;
  pki::RequestPlan plan;  ///< what to ask for, as the CA wants it and the profile allows it
};

/// Opens the credential, reaches the server, and asks what the CA wants. `earlier` is a request that is to be presented
/// again, or null: its server and its kind of key come first. Errors: those of open_idevid(), open_ldevid(), contact()
/// and pki::plan_request().
Result<Application> apply(const Workplace& place, JobKind kind, const Request* earlier);

}  // namespace devid::identity
