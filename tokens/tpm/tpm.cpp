#include "tokens/tpm/tpm.h"

namespace devid::tpm {

Result<> Tpm::connect() {
  if (connection_) return {};
  auto opened = Connection::open(spec_, refused_);
  if (!opened) return fail(std::move(opened.error()));
  connection_ = std::move(*opened);
  if (reclaim_) {
    connection_->context().reclaim();
    // If the TPM is away again, the operation finds out, too, and says so.
    reclaim_ = connection_->context().lost();
  }
  return {};
}

bool Tpm::drop_if_lost() {
  if (!connection_ || !connection_->context().lost()) return false;
  connection_.reset();
  reclaim_ = true;
  return true;
}

void Tpm::leave() {
  if (--users_ > 0 || !connection_) return;
  connection_->unload_all();
  drop_if_lost();
}

}  // namespace devid::tpm
