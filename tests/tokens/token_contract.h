#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "tokens/token.h"

namespace devid::test {

/// One piece of hardware (or what stands for it) on which the contract suite runs. Freshly made for each test.
class TokenUnderTest {
 public:
  TokenUnderTest() = default;
  TokenUnderTest(const TokenUnderTest&) = delete;
  TokenUnderTest& operator=(const TokenUnderTest&) = delete;
  TokenUnderTest(TokenUnderTest&&) = delete;
  TokenUnderTest& operator=(TokenUnderTest&&) = delete;
  virtual ~TokenUnderTest() = default;

  /// Another Token object over the same hardware, as a restarted process would make it.
  virtual std::unique_ptr<Token> make_token() = 0;

  [[nodiscard]] virtual bool makes(KeyAlgorithm algorithm) const = 0;

  /// Where a P-256 signing key lies that was there before devid, and a place for keys where none is.
  [[nodiscard]] virtual std::string factory_key_location() const = 0;
  [[nodiscard]] virtual std::string missing_key_location() const = 0;

  /// Where a certificate lies, what lies there to the byte, and a place for certificates where none is.
  [[nodiscard]] virtual std::string certificate_location() const = 0;
  [[nodiscard]] virtual Bytes certificate() const = 0;
  [[nodiscard]] virtual std::string missing_certificate_location() const = 0;

  /// PrivateKey::pem() of a P-256 key that another token of the same kind made.
  virtual std::string foreign_pem() = 0;

  /// How many keys the hardware holds now, factory keys included, loaded or for good.
  virtual std::size_t keys_held() = 0;

  /// Makes the next request that reaches the hardware fail, once.
  virtual void fail_once() = 0;
};

/// Every program that links token_contract.cpp defines this one function.
std::unique_ptr<TokenUnderTest> make_token_under_test();

}  // namespace devid::test
