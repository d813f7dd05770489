#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <fstream>
#include <map>
#include <memory>
#include <set>

#include "agent/identity/store.h"
#include "agent/pki/csr.h"
#include "tests/support/certificate_of.h"
#include "tests/support/fake_token.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/test_pki.h"

namespace devid::identity {

namespace fs = std::filesystem;

inline void write_text(const fs::path& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

inline std::string read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Every file below a directory, with its content; a symbolic link with its target.
inline std::map<std::string, std::string> snapshot(const fs::path& directory) {
  std::map<std::string, std::string> files;
  for (const auto& each : fs::recursive_directory_iterator(directory)) {
    const std::string name = each.path().lexically_relative(directory).string();
    if (each.is_symlink())
      files[name] = "-> " + fs::read_symlink(each.path()).string();
    else
      files[name] = each.is_regular_file() ? read_text(each.path()) : "directory";
  }
  return files;
}

inline std::set<std::string> names_in(const fs::path& directory) {
  std::set<std::string> names;
  for (const auto& each : fs::directory_iterator(directory)) names.insert(each.path().filename().string());
  return names;
}

inline mode_t mode_of(const fs::path& path) {
  struct stat info{};
  EXPECT_EQ(::lstat(path.c_str(), &info), 0) << path;
  return info.st_mode & 07777U;
}

/// A resource limit of this process, put back at the end.
class Limit {
 public:
  Limit(__rlimit_resource resource, rlim_t value) : resource_(resource) {
    ::getrlimit(resource_, &before_);
    const rlimit now{.rlim_cur = value, .rlim_max = before_.rlim_max};
    ::setrlimit(resource_, &now);
  }
  Limit(const Limit&) = delete;
  Limit& operator=(const Limit&) = delete;
  Limit(Limit&&) = delete;
  Limit& operator=(Limit&&) = delete;
  ~Limit() { ::setrlimit(resource_, &before_); }

 private:
  __rlimit_resource resource_;
  rlimit before_{};
};

/// A store, and material for three generations: certificates from the openssl command for keys of a fake token.
class AStore : public testing::Test {
 protected:
  AStore() {
    pki_.make_ca("root");
    pki_.make_ca("issuing", "root");
    for (int i = 0; i < 3; ++i) {
      keys_.push_back(std::move(*token_.create_key({.algorithm = KeyAlgorithm::ec_p256, .label = "x"})));
      const PublicKey& key = keys_.back()->public_key();
      const auto leaf =
          pki_.issue({.issuer = "issuing", .public_key = test::public_key_pem(std::string(as_text(key.spki)))});
      material.push_back({.token_key_pem = keys_.back()->pem(),
                          .leaf = test::certificate_of(leaf.certificate_pem),
                          .chain = test::certificates_of(leaf.chain_pem),
                          .anchors = test::certificates_of(pki_.ca("root").certificate_pem),
                          .provenance = {.token = "fake",
                                         .key_protection = "none",
                                         .public_key = key,
                                         .server = "https://est.example/.well-known/est",
                                         .method = i == 0 ? JobKind::enroll : JobKind::renew,
                                         .created = Time(Seconds(1772366400 + i))}});
    }
  }

  [[nodiscard]] fs::path place() const { return temporary_.path() / "gateway"; }
  [[nodiscard]] Store store() const { return std::move(*Store::open(place())); }
  [[nodiscard]] fs::path generation(std::uint64_t number) const {
    return place() / "generation" / std::to_string(number);
  }

  /// A store with the first `count` generations.
  Store store_with(std::size_t count) {
    Store filled = store();
    for (std::size_t i = 0; i < count; ++i) {
      const auto number = filled.install(material[i]);
      if (!number) throw std::runtime_error(number.error().sentence());
    }
    return filled;
  }

  Request request_for(std::size_t index) {
    const auto signing = SigningKey::wrap(*keys_[index]);
    auto csr = pki::make_csr(**signing, {.names = {.subject = {{.type = "CN", .value = "gateway"}}, .alternatives = {}},
                                         .challenge_password = std::nullopt});
    if (!csr) throw std::runtime_error(csr.error().sentence());
    return {.token_key_pem = material[index].token_key_pem,
            .csr = std::move(*csr),
            .provenance = material[index].provenance};
  }

  static void expect_same(const Generation& found, const Generation& expected, std::uint64_t number) {
    EXPECT_EQ(found.number, number);
    EXPECT_EQ(found.token_key_pem, expected.token_key_pem);
    EXPECT_EQ(found.leaf, expected.leaf);
    EXPECT_EQ(found.chain, expected.chain);
    EXPECT_EQ(found.anchors, expected.anchors);
    EXPECT_EQ(found.provenance, expected.provenance);
  }

  void expect_current(std::size_t index, std::uint64_t number) const {
    const auto found = store().current();
    ASSERT_TRUE(found) << found.error().sentence();
    ASSERT_TRUE(*found);
    expect_same(**found, material[index], number);
  }

  static std::vector<std::string> pems(const CleanUp& done) {
    std::vector<std::string> result;
    for (const AbandonedKey& key : done.abandoned_keys) result.push_back(key.token_key_pem);
    return result;
  }

  std::vector<Generation> material;

 private:
  test::TemporaryDirectory temporary_{"/dev/shm"};  // in memory: a process dies here often, the power never fails
  test::TestPki pki_;
  test::FakeHardware hardware_;
  test::FakeToken token_{hardware_};
  std::vector<std::unique_ptr<PrivateKey>> keys_;
};

}  // namespace devid::identity
