// The tap itself, used as a PKCS#11 module without devid: what the other tests rely on.

#include "tests/support/pkcs11_tap.h"

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <p11-kit/pkcs11.h>

#include <array>

#include "tests/support/softhsm.h"

namespace devid::test {
namespace {

class ATap : public testing::Test {
 protected:
  ATap() {
    void* const library = ::dlopen(Pkcs11Tap::module().c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) throw std::runtime_error(::dlerror());
    const auto get = reinterpret_cast<CK_C_GetFunctionList>(::dlsym(library, "C_GetFunctionList"));
    if (get(&module_) != CKR_OK) throw std::runtime_error("the tap does not load");
    EXPECT_EQ(module_->C_Initialize(nullptr), CKR_OK);
    CK_ULONG count = slots_.size();
    EXPECT_EQ(module_->C_GetSlotList(CK_TRUE, slots_.data(), &count), CKR_OK);
  }
  ATap(const ATap&) = delete;
  ATap& operator=(const ATap&) = delete;
  ATap(ATap&&) = delete;
  ATap& operator=(ATap&&) = delete;
  ~ATap() override { module_->C_Finalize(nullptr); }

  CK_RV open(CK_SESSION_HANDLE& session) {
    return module_->C_OpenSession(slots_.front(), CKF_SERIAL_SESSION, nullptr, nullptr, &session);
  }

  SoftHsm hsm_;
  Pkcs11Tap tap_{SoftHsm::module()};
  CK_FUNCTION_LIST* module_ = nullptr;
  std::array<CK_SLOT_ID, 8> slots_{};
};

TEST_F(ATap, CountsCallsAndSessions) {
  tap_.reset();
  CK_SESSION_HANDLE session = 0;
  ASSERT_EQ(open(session), CKR_OK);
  EXPECT_EQ(tap_.open_sessions(), 1);
  EXPECT_EQ(module_->C_CloseSession(session), CKR_OK);
  EXPECT_EQ(tap_.open_sessions(), 0);
  EXPECT_EQ(tap_.summary(), "C_OpenSession 1, C_CloseSession 1");
}

TEST_F(ATap, FailsTheCallThatItWasToldToAndNoOther) {
  tap_.fail("C_OpenSession", CKR_SESSION_COUNT, 1, 1);
  CK_SESSION_HANDLE session = 0;
  EXPECT_EQ(open(session), CKR_OK);
  EXPECT_EQ(open(session), CKR_SESSION_COUNT);
  EXPECT_EQ(open(session), CKR_OK);
}

TEST_F(ATap, TakesTheTokenAwayWithItsSessionsAndPutsItBack) {
  CK_SESSION_HANDLE session = 0;
  ASSERT_EQ(open(session), CKR_OK);
  tap_.set_gone(true);
  std::array<CK_BYTE, 4> random{};
  EXPECT_EQ(module_->C_GenerateRandom(session, random.data(), random.size()), CKR_DEVICE_REMOVED);
  CK_ULONG count = slots_.size();
  EXPECT_EQ(module_->C_GetSlotList(CK_TRUE, slots_.data(), &count), CKR_OK);
  EXPECT_EQ(count, 0U);
  tap_.set_gone(false);
  EXPECT_EQ(module_->C_GenerateRandom(session, random.data(), random.size()), CKR_SESSION_HANDLE_INVALID);
  EXPECT_EQ(open(session), CKR_OK);
}

TEST_F(ATap, HidesMechanisms) {
  CK_MECHANISM_INFO info{};
  EXPECT_EQ(module_->C_GetMechanismInfo(slots_.front(), CKM_RSA_PKCS_PSS, &info), CKR_OK);
  tap_.hide_mechanisms({CKM_RSA_PKCS_PSS});
  EXPECT_EQ(module_->C_GetMechanismInfo(slots_.front(), CKM_RSA_PKCS_PSS, &info), CKR_MECHANISM_INVALID);
}

TEST_F(ATap, TellsTheFlagsThatItWasToldTo) {
  CK_TOKEN_INFO info{};
  tap_.set_token_flags(CKF_USER_PIN_FINAL_TRY);
  EXPECT_EQ(module_->C_GetTokenInfo(slots_.front(), &info), CKR_OK);
  EXPECT_NE(info.flags & CKF_USER_PIN_FINAL_TRY, 0U);
}

TEST(ASoftHsm, HoldsWhatAFactoryPutsIntoIt) {
  TestPki pki;
  pki.make_ca("Manufacturer");
  SoftHsm hsm;
  const auto made = hsm.manufacture(pki, "Manufacturer");
  EXPECT_EQ(made.location, "pkcs11:id=%01");
  EXPECT_EQ(hsm.count(hsm.token(), "Private Key"), 1U) << hsm.listing(hsm.token());
  EXPECT_EQ(hsm.count(hsm.token(), "Public Key"), 1U);
  EXPECT_EQ(hsm.count(hsm.token(), "Certificate"), 1U);
  hsm.delete_object(hsm.token(), "privkey", "01");
  EXPECT_EQ(hsm.count(hsm.token(), "Private Key"), 0U);
  const HsmToken& twin = hsm.add_token("dev");
  EXPECT_NE(twin.serial_number, hsm.token().serial_number);
  EXPECT_EQ(hsm.count(twin, "Certificate"), 0U);
}

}  // namespace
}  // namespace devid::test
