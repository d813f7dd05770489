#include "tokens/tpm/context.h"

#include <array>
#include <chrono>
#include <thread>
#include <utility>

namespace devid::tpm {
namespace {

using std::chrono::milliseconds;

/// The waits before a command is sent again that the TPM was too busy for.
constexpr std::array waits{milliseconds(10),  milliseconds(20),  milliseconds(40),  milliseconds(80),
                           milliseconds(160), milliseconds(320), milliseconds(640), milliseconds(1280)};

/// Whether a handle is of the kind that was asked for. Sessions are listed as loaded ones, those with a policy with
/// their own first octet.
bool is_of_kind(TPM2_HANDLE handle, TPM2_HANDLE first) {
  const TPM2_HANDLE kind = handle & TPM2_HR_RANGE_MASK;
  return kind == (first & TPM2_HR_RANGE_MASK) || (first == TPM2_LOADED_SESSION_FIRST && kind == TPM2_HR_POLICY_SESSION);
}

/// More handles of one kind than any TPM has; bounds what a broken one can make us do.
constexpr std::size_t most_handles = 1024;

}  // namespace

Result<std::unique_ptr<Context>> Context::connect(const std::string& tcti) {
  // The loader would try one TPM after the other, and take one that nobody asked for.
  if (tcti.empty()) {
    return fail({.code = Errc::config_invalid,
                 .retry = Retry::after_operator,
                 .what = "no TPM is configured: the TCTI is empty",
                 .hint = "on most devices the TCTI is device:/dev/tpmrm0"});
  }
  TSS2_TCTI_CONTEXT* loaded = nullptr;
  const Call load{.name = "Tss2_TctiLdr_Initialize", .rc = Tss2_TctiLdr_Initialize(tcti.c_str(), &loaded)};
  Tcti owned(loaded);
  if (!load.ok()) {
    Error error = to_error(load);
    error.what = "cannot reach the TPM at " + printable(tcti);
    return fail(std::move(error));
  }
  ESYS_CONTEXT* esys = nullptr;
  const Call initialize{.name = "Esys_Initialize", .rc = Esys_Initialize(&esys, owned.get(), nullptr)};
  if (!initialize.ok()) return fail(to_error(initialize));
  return std::unique_ptr<Context>(new Context(std::move(owned), esys));
}

Context::~Context() { Esys_Finalize(&esys_); }

TSS2_RC Context::send_until_not_busy(const std::function<TSS2_RC(ESYS_CONTEXT*)>& what) {
  TSS2_RC rc = what(esys_);
  for (const milliseconds wait : waits) {
    if (!is_busy(rc)) break;
    std::this_thread::sleep_for(wait);
    rc = what(esys_);
  }
  if (is_lost(rc)) lost_ = true;
  return rc;
}

Call Context::call(std::string_view name, const std::function<TSS2_RC(ESYS_CONTEXT*)>& what) {
  TSS2_RC rc = send_until_not_busy(what);
  if (is_out_of_slots(rc) && reclaim()) rc = send_until_not_busy(what);
  return {.name = name, .rc = rc};
}

bool Context::reclaim() {
  bool freed = false;
  for (const TPM2_HANDLE first : {TPM2_TRANSIENT_FIRST, TPM2_LOADED_SESSION_FIRST}) {
    const auto handles = handles_from(first);
    if (!handles) continue;
    for (const TPM2_HANDLE handle : *handles) freed |= !held_.contains(handle) && flush_stranger(handle);
  }
  return freed;
}

bool Context::flush_stranger(TPM2_HANDLE handle) {
  ESYS_TR tr = ESYS_TR_NONE;
  const auto open = [&](ESYS_CONTEXT* esys) {
    return Esys_TR_FromTPMPublic(esys, handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &tr);
  };
  if (send_until_not_busy(open) != TSS2_RC_SUCCESS) return false;
  if (send_until_not_busy([&](ESYS_CONTEXT* esys) { return Esys_FlushContext(esys, tr); }) == TSS2_RC_SUCCESS) {
    return true;
  }
  close(tr);
  return false;
}

Result<std::vector<TPM2_HANDLE>> Context::handles_from(TPM2_HANDLE first) {
  std::vector<TPM2_HANDLE> handles;
  TPMI_YES_NO more = TPM2_YES;
  while (more == TPM2_YES && handles.size() < most_handles) {
    const TPM2_HANDLE next = handles.empty() ? first : handles.back() + 1;
    TPMS_CAPABILITY_DATA* raw = nullptr;
    const Call get{.name = "Esys_GetCapability", .rc = send_until_not_busy([&](ESYS_CONTEXT* esys) {
                                                   return Esys_GetCapability(esys, ESYS_TR_NONE, ESYS_TR_NONE,
                                                                             ESYS_TR_NONE, TPM2_CAP_HANDLES, next,
                                                                             TPM2_MAX_CAP_HANDLES, &more, &raw);
                                                 })};
    if (!get.ok()) return fail(to_error(get));
    const Esys<TPMS_CAPABILITY_DATA> data(raw);
    const TPML_HANDLE& listed = data->data.handles;
    if (listed.count == 0) break;
    if (first == TPM2_LOADED_SESSION_FIRST) more = TPM2_NO;
    for (UINT32 i = 0; i < listed.count && i < TPM2_MAX_CAP_HANDLES; ++i) {
      const TPM2_HANDLE handle = listed.handle[i];
      // Sessions are listed in the order of their slots, and there are few.
      const bool in_order = handle >= next || first == TPM2_LOADED_SESSION_FIRST;
      if (!is_of_kind(handle, first) || !in_order) return handles;
      handles.push_back(handle);
    }
  }
  return handles;
}

void Context::hold(ESYS_TR tr) {
  TPM2_HANDLE handle = 0;
  if (Esys_TR_GetTpmHandle(esys_, tr, &handle) == TSS2_RC_SUCCESS) held_.insert(handle);
}

void Context::release(ESYS_TR tr) {
  TPM2_HANDLE handle = 0;
  if (Esys_TR_GetTpmHandle(esys_, tr, &handle) == TSS2_RC_SUCCESS) held_.erase(handle);
}

void Context::flush(ESYS_TR tr) {
  release(tr);
  if (!lost_) {
    const TSS2_RC rc = send_until_not_busy([&](ESYS_CONTEXT* esys) { return Esys_FlushContext(esys, tr); });
    if (rc == TSS2_RC_SUCCESS) return;  // ESYS closed it, too
    lost_ = true;
  }
  close(tr);
}

void Context::close(ESYS_TR tr) { Esys_TR_Close(esys_, &tr); }

}  // namespace devid::tpm
