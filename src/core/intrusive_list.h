// A doubly linked list through a base class of its elements: no allocation, removal without a
// search. It owns nothing and does not unlink on destruction; an element is in at most one list per
// Tag.
#pragma once

#include "core/assert.h"

namespace shunt {

template <class Tag = void>
struct ListNode {
  ListNode* prev = nullptr;
  ListNode* next = nullptr;
  bool linked() const { return next != nullptr; }
};

template <class T, class Tag = void>
class IntrusiveList {
  using Node = ListNode<Tag>;

 public:
  IntrusiveList() { head_.prev = head_.next = &head_; }
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;

  bool empty() const { return head_.next == &head_; }
  T& front() { return *static_cast<T*>(head_.next); }
  T& back() { return *static_cast<T*>(head_.prev); }

  // The nodes in order, for walks that stop half way: none may be removed meanwhile.
  Node* begin() { return head_.next; }
  Node* end() { return &head_; }

  void push_front(T& element) { link(element, head_, *head_.next); }
  void push_back(T& element) { link(element, *head_.prev, head_); }

  static void remove(T& element) {
    Node& node = element;
    SHUNT_ASSERT(node.linked());
    node.prev->next = node.next;
    node.next->prev = node.prev;
    node.prev = node.next = nullptr;
  }

  T& pop_front() {
    SHUNT_ASSERT(!empty());
    T& element = front();
    remove(element);
    return element;
  }

  // Calls `visit(element)` for each; `visit` may remove the element it is given, and no other.
  template <class Visit>
  void each(Visit visit) {
    for (Node* node = head_.next; node != &head_;) {
      Node* next = node->next;
      visit(*static_cast<T*>(node));
      node = next;
    }
  }

 private:
  static void link(T& element, Node& before, Node& after) {
    Node& node = element;
    SHUNT_ASSERT(!node.linked());
    node.prev = &before;
    node.next = &after;
    before.next = &node;
    after.prev = &node;
  }

  Node head_;
};

}  // namespace shunt
