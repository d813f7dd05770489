#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "agent/identity/configuration.h"
#include "tokens/token.h"

namespace devid {

/// The tokens of this device, by the names that profiles use.
using Tokens = std::map<std::string, std::unique_ptr<Token>, std::less<>>;
/// Makes the tokens that a configuration names. Called on the worker thread; must not touch the hardware.
using TokenFactory = std::function<Tokens(const Configuration&)>;

}  // namespace devid
