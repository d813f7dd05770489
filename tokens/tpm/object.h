#pragma once

#include <tss2/tss2_esys.h>

#include <utility>

#include "tokens/tpm/context.h"

namespace devid::tpm {

/// An object in one of the TPM's few slots. Flushes itself, on every path.
class TransientObject {
 public:
  TransientObject(Context& context, ESYS_TR tr) : context_(&context), tr_(tr) { context.hold(tr); }
  TransientObject(const TransientObject&) = delete;
  TransientObject& operator=(const TransientObject&) = delete;
  TransientObject(TransientObject&& other) noexcept
      : context_(other.context_), tr_(std::exchange(other.tr_, ESYS_TR_NONE)) {}
  TransientObject& operator=(TransientObject&&) = delete;
  ~TransientObject() {
    if (tr_ != ESYS_TR_NONE) context_->flush(tr_);
  }

  [[nodiscard]] ESYS_TR tr() const { return tr_; }

  /// For an object that is no longer there, or no longer ours: what lies at its handle now is left alone.
  void abandon() {
    context_->release(tr_);
    context_->close(std::exchange(tr_, ESYS_TR_NONE));
  }

 private:
  Context* context_;
  ESYS_TR tr_;
};

/// What ESYS knows about an object that stays in the TPM: closed, never flushed.
class PersistentObject {
 public:
  PersistentObject(Context& context, ESYS_TR tr) : context_(&context), tr_(tr) {}
  PersistentObject(const PersistentObject&) = delete;
  PersistentObject& operator=(const PersistentObject&) = delete;
  PersistentObject(PersistentObject&& other) noexcept
      : context_(other.context_), tr_(std::exchange(other.tr_, ESYS_TR_NONE)) {}
  PersistentObject& operator=(PersistentObject&&) = delete;
  ~PersistentObject() {
    if (tr_ != ESYS_TR_NONE) context_->close(tr_);
  }

  [[nodiscard]] ESYS_TR tr() const { return tr_; }

 private:
  Context* context_;
  ESYS_TR tr_;
};

}  // namespace devid::tpm
