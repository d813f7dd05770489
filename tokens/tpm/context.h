#pragma once

#include <tss2/tss2_esys.h>
#include <tss2/tss2_tctildr.h>

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/owned.h"
#include "base/result.h"
#include "tokens/tpm/rc.h"

namespace devid::tpm {

/// Memory that ESYS handed out.
template <class T>
using Esys = Owned<T, Esys_Free>;

/// The connection to one TPM: the TCTI, and ESYS on top of it. Sends nothing by itself.
class Context {
 public:
  /// `tcti` as Tss2_TctiLdr_Initialize reads it. Error: token_unreachable.
  static Result<std::unique_ptr<Context>> connect(const std::string& tcti);
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  Context(Context&&) = delete;
  Context& operator=(Context&&) = delete;
  ~Context();

  /// Makes one call of ESYS. Sends it again after a wait when the TPM asks for it (2.5 s at most), and once more when
  /// the slots were full and something could be flushed. `what` gets the ESYS_CONTEXT and may be called repeatedly.
  Call call(std::string_view name, const std::function<TSS2_RC(ESYS_CONTEXT*)>& what);

  /// Flushes every transient object and session that this context can see and does not hold: behind a resource manager
  /// there is none, without one they are what a crashed process or a lost answer left behind.
  /// Returns whether a slot is free now that was not.
  bool reclaim();

  /// The handles that TPM2_GetCapability lists from `first` on, within its range.
  Result<std::vector<TPM2_HANDLE>> handles_from(TPM2_HANDLE first);

  /// Keeps reclaim() away from an object or session of ours, and no longer.
  void hold(ESYS_TR tr);
  void release(ESYS_TR tr);
  /// Flushes an object or session of ours; if that fails, the context counts as lost.
  void flush(ESYS_TR tr);
  /// Forgets an ESYS_TR without a word to the TPM.
  void close(ESYS_TR tr);

  /// The TPM went away, or its slots are not as we think: connect anew and reclaim().
  [[nodiscard]] bool lost() const { return lost_; }

 private:
  struct FinalizeTcti {
    void operator()(TSS2_TCTI_CONTEXT* tcti) const noexcept { Tss2_TctiLdr_Finalize(&tcti); }
  };
  using Tcti = std::unique_ptr<TSS2_TCTI_CONTEXT, FinalizeTcti>;

  Context(Tcti tcti, ESYS_CONTEXT* esys) : tcti_(std::move(tcti)), esys_(esys) {}
  TSS2_RC send_until_not_busy(const std::function<TSS2_RC(ESYS_CONTEXT*)>& what);
  bool flush_stranger(TPM2_HANDLE handle);

  Tcti tcti_;
  ESYS_CONTEXT* esys_;
  std::set<TPM2_HANDLE> held_;
  bool lost_ = false;
};

}  // namespace devid::tpm
