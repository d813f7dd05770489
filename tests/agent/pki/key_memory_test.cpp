#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>

#include "agent/pki/server_key.h"
#include "base/openssl_memory.h"
#include "tests/support/command.h"
#include "tests/support/test_pki.h"

namespace devid::pki {
namespace {

/// Before anything else in this process: that OpenSSL has not allocated yet is the condition.
const bool openssl_wipes = wipe_openssl_memory();

constexpr const char* kek = "000102030405060708090a0b0c0d0e0f";
constexpr unsigned char mask = 0x5a;
constexpr std::size_t needle_size = 24;

/// A file's octets, with no copy of them anywhere else.
Bytes read_bare(const std::filesystem::path& file) {
  Bytes octets(4096);
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  const ssize_t size = ::read(descriptor, octets.data(), octets.size());
  ::close(descriptor);
  octets.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return octets;
}

/// What to look for, in a form in which it does not find itself.
std::array<unsigned char, needle_size> masked(BytesView octets, std::size_t at) {
  std::array<unsigned char, needle_size> needle{};
  for (std::size_t i = 0; i < needle_size; ++i)
    needle[i] = static_cast<unsigned char>(std::to_integer<unsigned char>(octets[at + i]) ^ mask);
  return needle;
}

/// How often it is in the memory of this process that can be written to.
unsigned found(const std::array<unsigned char, needle_size>& needle) {
  static Bytes window(1U << 26U);
  std::ifstream maps("/proc/self/maps");
  const int memory = ::open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
  unsigned hits = 0;
  for (std::string line; std::getline(maps, line);) {
    unsigned long begin = 0;
    unsigned long end = 0;
    std::array<char, 5> rights{};
    // NOLINTNEXTLINE(cert-err34-c): the kernel writes it
    if (std::sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, rights.data()) != 3 || rights[1] != 'w') continue;
    const auto own = reinterpret_cast<unsigned long>(window.data());
    if (end - begin > window.size() || (own >= begin && own < end)) continue;
    const ssize_t size = ::pread(memory, window.data(), end - begin, static_cast<off_t>(begin));
    for (std::size_t i = 0; i + needle_size <= static_cast<std::size_t>(std::max<ssize_t>(size, 0)); ++i) {
      std::size_t same = 0;
      while (same < needle_size && (std::to_integer<unsigned char>(window[i + same]) ^ mask) == needle[same]) ++same;
      if (same == needle_size) ++hits;
    }
    wipe(window);
  }
  ::close(memory);
  return hits;
}

class AKeyFromTheServerInMemory : public testing::TestWithParam<const char*> {};

TEST_P(AKeyFromTheServerInMemory, IsNowhereOnceItIsForgotten) {
  ASSERT_TRUE(openssl_wipes);
  const test::TestPki pki;
  const std::string kind = GetParam();
  const auto& place = pki.directory();
  test::make_key(place / "key.pem", kind == "ec" ? test::TestKey::ec_p256 : test::TestKey::rsa_2048);
  std::vector<std::string> encoding = {"openssl", "pkcs8", "-topk8", "-nocrypt"};
  if (kind == "bare_rsa") encoding = {"openssl", "rsa", "-traditional"};
  encoding.insert(encoding.end(), {"-in", place / "key.pem", "-outform", "DER", "-out", place / "key.der"});
  test::output_of({.argv = encoding});
  test::output_of({.argv = {"openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", place / "signer.key",
                            "-out", place / "signer.pem", "-subj", "/CN=signer"}});
  test::output_of(
      {.argv = {"openssl", "cms", "-sign", "-nodetach", "-binary", "-outform", "DER", "-signer", place / "signer.pem",
                "-inkey", place / "signer.key", "-in", place / "key.der", "-out", place / "signed.der"}});
  test::output_of({.argv = {"openssl", "cms", "-encrypt", "-binary", "-outform", "DER", "-aes-128-cbc", "-secretkey",
                            kek, "-secretkeyid", "01", "-in", place / "signed.der", "-out", place / "enveloped.der"}});
  Bytes plain = read_bare(place / "key.der");
  const Bytes enveloped = read_bare(place / "enveloped.der");
  // From the middle of the private exponent, or of the scalar: the beginning of freed memory is overwritten anyway.
  const auto needle = masked(plain, kind == "ec" ? 40 : 400);
  Bytes shared(16);
  for (std::size_t i = 0; i < shared.size(); ++i) shared[i] = static_cast<std::byte>(i);
  const DecryptionKey decryption = SymmetricDecryptionKey{.identifier = Bytes(1, std::byte{1}), .key = Secret(shared)};
  {
    const auto key = read_plain_key(plain);
    ASSERT_TRUE(key) << key.error().sentence();
    EXPECT_GE(found(needle), 2U);  // it is found while it is there
  }
  wipe(plain);
  EXPECT_EQ(found(needle), 0U);
  {
    const auto key = read_enveloped_key(enveloped, decryption);
    ASSERT_TRUE(key) << key.error().sentence();
    EXPECT_GE(found(needle), 1U);
  }
  EXPECT_EQ(found(needle), 0U);
}

INSTANTIATE_TEST_SUITE_P(OfEachKind, AKeyFromTheServerInMemory, testing::Values("ec", "rsa", "bare_rsa"),
                         [](const auto& each) { return std::string(each.param); });

}  // namespace
}  // namespace devid::pki
