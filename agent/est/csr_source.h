#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace devid::est {

/// Makes the request that is sent. With a channel binding it is asked once the connection is up that the request will
/// go over, and again if that turns out to be dead; without one it is asked once, before.
struct CsrSource {
  std::size_t most_bytes;  ///< of the DER: the head, with the size of the body, is sent before the request is made
  /// `binding`, if there is one, belongs into the challengePassword (RFC 7030 3.5). Returns DER.
  std::function<Result<Bytes>(const std::optional<std::string>& binding)> make;
};

/// A request that was made before. It is sent as it is, whatever the binding.
CsrSource ready_made(BytesView csr);

}  // namespace devid::est
