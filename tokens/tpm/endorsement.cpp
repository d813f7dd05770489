#include "tokens/tpm/endorsement.h"

#include <algorithm>
#include <span>

#include "tokens/tpm/auth_value.h"

namespace devid::tpm {
namespace {

TPML_DIGEST list_of(const std::vector<Bytes>& branches) {
  TPML_DIGEST list{};
  for (const Bytes& branch : branches) {
    TPM2B_DIGEST& digest = list.digests[list.count++];
    digest.size = static_cast<UINT16>(branch.size());
    std::ranges::copy(branch, std::as_writable_bytes(std::span(digest.buffer)).begin());
  }
  return list;
}

}  // namespace

Result<Call> Endorsement::create_primary(Session& guard, const TPM2B_PUBLIC& form, ESYS_TR& made,
                                         Esys<TPM2B_PUBLIC>& area) const {
  const TPM2B_SENSITIVE_CREATE no_auth{};
  const TPM2B_DATA no_data{};
  const TPML_PCR_SELECTION no_pcrs{};
  TPM2B_PUBLIC* raw = nullptr;
  auto create = with_auth([&] {
    return context_.call("Esys_CreatePrimary", [&](ESYS_CONTEXT* esys) {
      return Esys_CreatePrimary(esys, ESYS_TR_RH_ENDORSEMENT, guard.for_command(Encrypt::command_and_response),
                                ESYS_TR_NONE, ESYS_TR_NONE, &no_auth, &form, &no_data, &no_pcrs, &made, &raw, nullptr,
                                nullptr, nullptr);
    });
  });
  area.reset(raw);
  return create;
}

Result<Call> Endorsement::satisfy(Session& guard, const EndorsementPolicy& policy,
                                  const Session& policy_session) const {
  auto secret = with_auth([&] {
    return context_.call("Esys_PolicySecret", [&](ESYS_CONTEXT* esys) {
      constexpr INT32 for_this_session = 0;
      return Esys_PolicySecret(esys, ESYS_TR_RH_ENDORSEMENT, policy_session.tr(), guard.for_command(Encrypt::nothing),
                               ESYS_TR_NONE, ESYS_TR_NONE, nullptr, nullptr, nullptr, for_this_session, nullptr,
                               nullptr);
    });
  });
  if (!secret || !secret->ok() || policy.branches.empty()) return secret;
  const TPML_DIGEST branches = list_of(policy.branches);
  return context_.call("Esys_PolicyOR", [&](ESYS_CONTEXT* esys) {
    return Esys_PolicyOR(esys, policy_session.tr(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &branches);
  });
}

Error Endorsement::error_of(const Call& call) const {
  Error error = to_error(call);
  if (!is_auth_failure(call.rc)) return error;
  if (auth_) {
    error.what = "the auth value in " + source_text(*auth_) + " is not that of the endorsement hierarchy";
    error.hint = "put the right one there";
  } else {
    error.what = "the endorsement hierarchy of the TPM has an auth value";
    error.hint = "name it in endorsement_auth of [tpm] in devid.toml";
  }
  return error;
}

Result<Call> Endorsement::with_auth(const std::function<Call()>& command) const {
  if (auto told = use_auth_value(context_, ESYS_TR_RH_ENDORSEMENT, auth_); !told) return fail(std::move(told.error()));
  const Call call = command();
  forget_auth_value(context_, ESYS_TR_RH_ENDORSEMENT);
  return call;
}

}  // namespace devid::tpm
